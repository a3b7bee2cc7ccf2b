import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkLogin,
  SocksError,
  type SocksFailure,
  SocksHandshake,
  type SocksLogin,
  type SocksVersion,
} from '../../src/transport/socks.js';

function login(username: string, password = '', isRequired = false): SocksLogin {
  return { username: Buffer.from(username, 'latin1'), password: Buffer.from(password, 'latin1'), isRequired };
}

interface Talk {
  readonly version: SocksVersion;
  readonly host: string;
  readonly port?: number;
  readonly login?: SocksLogin;
}

interface Outcome {
  /** What the client sent, each message in hexadecimal. */
  readonly sent: readonly string[];
  readonly end: 'waiting' | { readonly surplus: string } | { readonly failure: SocksFailure; readonly message: string };
}

/** Runs a handshake with a proxy that says `pieces`, one after the other, whatever the client says. */
function converse({ version, host, port = 443, login: who }: Talk, pieces: readonly Buffer[]): Outcome {
  const handshake = new SocksHandshake(version, { host, port }, who ?? null);
  const sent: string[] = [];
  const left = [...pieces];
  try {
    for (;;) {
      const step = handshake.next();
      if (step.kind === 'send') sent.push(step.bytes.toString('hex'));
      if (step.kind === 'done') {
        return { sent, end: { surplus: Buffer.concat([step.surplus, ...left]).toString('latin1') } };
      }
      if (step.kind === 'need-bytes') {
        const piece = left.shift();
        if (piece === undefined) return { sent, end: 'waiting' };
        handshake.feed(piece);
      }
    }
  } catch (error) {
    if (!(error instanceof SocksError)) throw error;
    return { sent, end: { failure: error.failure, message: error.message } };
  }
}

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const compact = (text: string) => text.replaceAll(' ', '');

function bytewise(wire: Buffer): Buffer[] {
  return Array.from(wire, (byte) => Buffer.of(byte));
}

const NAME_255 = `${'a'.repeat(251)}.com`;

const GRANTED: readonly { name: string; talk: Talk; replies: string; sent: string[] }[] = [
  {
    name: 'SOCKS5 to a name',
    talk: { version: 5, host: 'a.test', port: 80 },
    replies: '0500 05000001 7f000001 1f90',
    sent: ['050100', '05010003 06 612e74657374 0050'],
  },
  {
    name: 'SOCKS5 to an IPv4 address, answered with an IPv6 one',
    talk: { version: 5, host: '192.0.2.1', port: 65_535 },
    replies: '0500 05000004 20010db8000000000000000000000001 1f90',
    sent: ['050100', '05010001 c0000201 ffff'],
  },
  {
    name: 'SOCKS5 to an IPv6 address, answered with a name',
    talk: { version: 5, host: '2001:db8::1:2' },
    replies: '0500 05000003 06 612e74657374 1f90',
    sent: ['050100', '05010004 20010db8000000000000000000010002 01bb'],
  },
  {
    name: 'SOCKS5 to an IPv4 address in the notation of IPv6, answered with an empty name and a reserved byte that is set',
    talk: { version: 5, host: '::ffff:192.0.2.1' },
    replies: '0500 05000703 00 0000',
    sent: ['050100', '05010004 00000000000000000000ffffc0000201 01bb'],
  },
  {
    name: 'SOCKS5 to a name of 255 bytes, answered with another',
    talk: { version: 5, host: NAME_255 },
    replies: `0500 05000003 ff ${'62'.repeat(255)} 1f90`,
    sent: ['050100', `05010003 ff ${Buffer.from(NAME_255).toString('hex')} 01bb`],
  },
  {
    name: 'SOCKS5 with a login that the proxy asks for',
    talk: { version: 5, host: 'a.test', login: login('user', 'pass') },
    replies: '0502 0100 05000001 00000000 0000',
    sent: ['05020002', '01 04 75736572 04 70617373', '05010003 06 612e74657374 01bb'],
  },
  {
    name: 'SOCKS5 with a login that the proxy does not ask for',
    talk: { version: 5, host: 'a.test', login: login('user', 'pass') },
    replies: '0500 05000001 00000000 0000',
    sent: ['05020002', '05010003 06 612e74657374 01bb'],
  },
  {
    name: 'SOCKS5 with a login that is required',
    talk: { version: 5, host: 'a.test', login: login('user', 'pass', true) },
    replies: '0502 0100 05000001 00000000 0000',
    sent: ['050102', '01 04 75736572 04 70617373', '05010003 06 612e74657374 01bb'],
  },
  {
    name: 'SOCKS5 with a username of 255 bytes, each possible one, and a password of 128',
    talk: { version: 5, host: '192.0.2.1', login: login(ALL_BYTES(), 'p'.repeat(128)) },
    replies: '0502 0100 05000001 00000000 0000',
    sent: [
      '05020002',
      `01 ff ${Buffer.from(ALL_BYTES(), 'latin1').toString('hex')} 80 ${'70'.repeat(128)}`,
      '05010001 c0000201 01bb',
    ],
  },
  {
    name: 'SOCKS5 with a username alone',
    talk: { version: 5, host: '192.0.2.1', login: login('user') },
    replies: '0502 0100 05000001 00000000 0000',
    sent: ['05020002', '01 04 75736572 00', '05010001 c0000201 01bb'],
  },
  {
    name: 'SOCKS4 to an address',
    talk: { version: 4, host: '192.0.2.1', port: 80 },
    replies: '005a 0000 00000000',
    sent: ['0401 0050 c0000201 00'],
  },
  {
    name: 'SOCKS4 with a user id',
    talk: { version: 4, host: '192.0.2.1', login: login('user') },
    replies: '005a ffff ffffffff',
    sent: ['0401 01bb c0000201 75736572 00'],
  },
  {
    name: 'SOCKS4A to a name',
    talk: { version: 4, host: 'a.test', login: login('user') },
    replies: '005a 0000 00000000',
    sent: ['0401 01bb 00000001 75736572 00 612e74657374 00'],
  },
];

/** Every byte but 0, so that it can be a user id of SOCKS4 too. */
function ALL_BYTES(): string {
  return Buffer.from(Array.from({ length: 255 }, (_, index) => index + 1)).toString('latin1');
}

describe('SocksHandshake makes', () => {
  test.each(GRANTED)('$name', ({ talk, replies, sent }) => {
    const wire = hex(replies);
    const want = sent.map(compact);
    for (const pieces of [[wire], bytewise(wire)]) {
      expect(converse(talk, pieces)).toEqual({ sent: want, end: { surplus: '' } });
    }
    for (let length = 0; length < wire.length; length++) {
      expect(converse(talk, [wire.subarray(0, length)]).end).toBe('waiting');
    }
  });

  test.each(GRANTED)('$name, and gives back what came after the reply', ({ talk, replies }) => {
    const wire = Buffer.concat([hex(replies), Buffer.from('HTTP/1.1 200')]);
    for (const pieces of [[wire], bytewise(wire)]) {
      expect(converse(talk, pieces).end).toEqual({ surplus: 'HTTP/1.1 200' });
    }
  });
});

interface Refused {
  readonly name: string;
  readonly talk?: Partial<Talk>;
  /** The shortest reply on which it must be decided. */
  readonly replies: string;
  readonly failure: SocksFailure;
  readonly message: string;
}

const REFUSED: readonly Refused[] = [
  ...(
    [
      ['01', 'unreachable', 'General SOCKS server failure'],
      ['02', 'refused', 'Connection not allowed by ruleset'],
      ['03', 'unreachable', 'Network unreachable'],
      ['04', 'unreachable', 'Host unreachable'],
      ['05', 'unreachable', 'Connection refused'],
      ['06', 'unreachable', 'TTL expired'],
      ['07', 'refused', 'Command not supported'],
      ['08', 'unreachable', 'Address type not supported'],
      ['99', 'refused', 'Unknown error'],
    ] as const
  ).map(([code, failure, words]) => ({
    name: `SOCKS5 reply ${code}`,
    replies: `0500 05${code}`,
    failure,
    message: `SOCKS5 proxy answered 0x${code}: ${words}`,
  })),
  ...(
    [
      ['5b', 'unreachable', 'Request rejected or failed'],
      ['5c', 'login', 'The proxy found no identd on this machine'],
      ['5d', 'login', 'The request and identd on this machine give different user-ids'],
      ['00', 'refused', 'Unknown error'],
    ] as const
  ).map(([code, failure, words]) => ({
    name: `SOCKS4 reply ${code}`,
    talk: { version: 4 as const },
    replies: `00${code}`,
    failure,
    message: `SOCKS4 proxy answered 0x${code}: ${words}`,
  })),
  {
    name: 'a wrong password',
    talk: { login: login('user', 'pass') },
    replies: '0502 0101',
    failure: 'login',
    message: 'SOCKS5 authentication failed',
  },
  {
    name: 'a login that another version of the login answers',
    talk: { login: login('user', 'pass') },
    replies: '0502 05',
    failure: 'protocol',
    message: 'SOCKS5 proxy server sent invalid data: its answer begins with 0x05, not 0x01',
  },
  {
    name: 'no acceptable method, without login',
    replies: '05ff',
    failure: 'login',
    message: 'The SOCKS5 proxy accepts none of the offered authentication methods: it may want a username and password',
  },
  {
    name: 'no acceptable method, with a login',
    talk: { login: login('user', 'pass') },
    replies: '05ff',
    failure: 'login',
    message: 'The SOCKS5 proxy accepts none of the offered authentication methods',
  },
  {
    name: 'a method that was not offered: password',
    replies: '0502',
    failure: 'protocol',
    message: 'The SOCKS5 proxy chose authentication method 0x02, not offered to it',
  },
  {
    name: 'a method that was not offered: GSSAPI',
    talk: { login: login('user', 'pass') },
    replies: '0501',
    failure: 'protocol',
    message: 'The SOCKS5 proxy chose authentication method 0x01, not offered to it',
  },
  {
    name: 'a method that was not offered: none, where a login is required',
    talk: { login: login('user', 'pass', true) },
    replies: '0500',
    failure: 'protocol',
    message: 'The SOCKS5 proxy chose authentication method 0x00, not offered to it',
  },
  {
    name: 'an HTTP server instead of SOCKS5',
    replies: Buffer.from('H').toString('hex'),
    failure: 'protocol',
    message: 'SOCKS5 proxy server sent invalid data: its answer begins with 0x48, not 0x05',
  },
  {
    name: 'a reply of another version',
    replies: '0500 04',
    failure: 'protocol',
    message: 'SOCKS5 proxy server sent invalid data: its answer begins with 0x04, not 0x05',
  },
  {
    name: 'a SOCKS4 reply that begins with the version of the request',
    talk: { version: 4 },
    replies: '04',
    failure: 'protocol',
    message: 'SOCKS4 proxy server sent invalid data: its answer begins with 0x04, not 0x00',
  },
  {
    name: 'an address type that does not exist',
    replies: '0500 05000002',
    failure: 'protocol',
    message: 'SOCKS5 proxy server sent invalid data: address type 0x02',
  },
];

describe('SEC-088 (a downgrade, short and damaged replies): SocksHandshake fails, at that very byte, for', () => {
  test.each(REFUSED)('$name', ({ talk, replies, failure, message }) => {
    const whole: Talk = { version: 5, host: '192.0.2.1', ...talk };
    const wire = hex(replies);
    for (const pieces of [[wire], bytewise(wire), [Buffer.concat([wire, Buffer.alloc(300, 1)])]]) {
      expect(converse(whole, pieces).end).toEqual({ failure, message });
    }
    expect(converse(whole, [wire.subarray(0, -1)]).end).toBe('waiting');
  });
});

test('SEC-088: any split of what a proxy says gives the same conversation', () => {
  const talks = fc.record({
    version: fc.constantFrom<SocksVersion>(4, 5),
    host: fc.constantFrom('a.test', '192.0.2.1', NAME_255),
    login: fc.constantFrom(undefined, login('user'), login('u', '', true)),
  });
  // Replies that are right but for a byte get further than noise.
  const replies = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    fc
      .tuple(fc.constantFrom(...GRANTED.map((granted) => hex(granted.replies))), fc.nat(), fc.nat(255), fc.boolean())
      .map(([wire, at, byte, isDamaged]) => {
        const said = Buffer.concat([wire, Buffer.from('surplus')]);
        if (isDamaged) said[at % said.length] = byte;
        return said;
      }),
  );
  fc.assert(
    fc.property(talks, replies, fc.array(fc.nat(300)), ({ login: who, ...talk }, said, cuts) => {
      const wire = Buffer.from(said);
      const places = [0, ...cuts.filter((at) => at < wire.length).sort((a, b) => a - b), wire.length];
      const pieces = places.slice(1).map((end, index) => wire.subarray(places[index], end));
      const whole: Talk = who === undefined ? talk : { ...talk, login: who };
      expect(converse(whole, pieces)).toEqual(converse(whole, [wire]));
    }),
  );
});

describe('SEC-088 (CVE-2023-38545): new SocksHandshake() refuses, before anything is sent,', () => {
  test.each<[name: string, version: SocksVersion, host: string, message: string]>([
    ['an IPv6 address in SOCKS4', 4, '2001:db8::1', 'SOCKS4 cannot connect to the IPv6 address 2001:db8::1'],
    ['an IPv6 address with a zone', 5, 'fe80::1%eth0', 'SOCKS cannot connect to "fe80::1%eth0": its zone is of this'],
    ['a name of 256 bytes', 5, `a${NAME_255}`, 'SOCKS cannot connect to a name of 256 bytes: 255 is the most'],
    ['a name of 256 bytes in SOCKS4A', 4, `a${NAME_255}`, 'SOCKS cannot connect to a name of 256 bytes'],
    ['no name', 5, '', 'SOCKS cannot connect to "": it must be a DNS name in ASCII'],
    ['a name beyond ASCII', 5, 'ä.test', 'it must be a DNS name in ASCII'],
    ['a name with a NUL', 4, 'a.test\0b', 'SOCKS cannot connect to "a.test\\x00b": it must be a DNS name in ASCII'],
  ])('%s', (_name, version, host, message) => {
    const make = () => new SocksHandshake(version, { host, port: 80 }, null);
    expect(make).toThrow(SocksError);
    expect(make).toThrow(message);
  });

  test('a login that cannot be sent', () => {
    const make = () => new SocksHandshake(5, { host: 'a.test', port: 80 }, login(''));
    expect(make).toThrow(TypeError);
  });
});

describe('SEC-088: checkLogin()', () => {
  test.each<[name: string, version: SocksVersion, who: SocksLogin, kind: typeof TypeError | typeof RangeError]>([
    ['a username of 256 bytes', 5, login('secret'.padEnd(256, '-')), RangeError],
    ['a password of 256 bytes', 5, login('user', 'secret'.padEnd(256, '-')), RangeError],
    ['an empty username in SOCKS5', 5, login('', 'secret'), TypeError],
    ['a password in SOCKS4', 4, login('user', 'secret'), TypeError],
    ['a user id of 256 bytes in SOCKS4', 4, login('secret'.padEnd(256, '-')), RangeError],
    ['a user id with a NUL in SOCKS4', 4, login('secret\0a.test'), TypeError],
  ])('refuses %s, without saying what it was', (_name, version, who, kind) => {
    const check = () => checkLogin(version, who);
    expect(check).toThrow(kind);
    expect(check).not.toThrow(/secret/);
  });

  test.each<[name: string, version: SocksVersion, who: SocksLogin]>([
    ['a NUL in SOCKS5, where lengths end a field', 5, login('a\0b', 'c\0d')],
    ['no user id in SOCKS4', 4, login('')],
    ['255 bytes', 5, login(ALL_BYTES(), ALL_BYTES())],
  ])('takes %s', (_name, version, who) => {
    expect(() => checkLogin(version, who)).not.toThrow();
  });
});
