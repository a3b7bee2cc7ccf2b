/** The vectors are MS-NLMP's own (section 4.2.4) and, for the MIC and the bindings that it has none for, Chromium's. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bindingsOf } from '../../src/auth/channel-binding.js';
import type { NtlmNames } from '../../src/auth/credentials.js';
import { parseAvPairs, writeAvPairs } from '../../src/auth/ntlm-av-pairs.js';
import { filetime, ntlmV2Proof, responseKey } from '../../src/auth/ntlm-crypto.js';
import {
  type AuthenticateInput,
  authenticateMessage,
  negotiateMessage,
  parseChallengeMessage,
} from '../../src/auth/ntlm-messages.js';
import { AuthenticationError } from '../../src/exceptions.js';

const hex = (text: string) => Buffer.from(text.replace(/\s/g, ''), 'hex');
const NAMES: NtlmNames = { username: 'User', domain: 'Domain', password: 'Password', workstation: 'COMPUTER' };
const CLIENT_CHALLENGE = Buffer.alloc(8, 0xaa);
const AV_PAIRS = hex('02000c0044006f006d00610069006e0001000c0053006500720076006500720000000000');
const CHALLENGE = hex(`
  4e544c4d53535000020000000c000c003800000033828ae20123456789abcdef00000000000000002400240044000000060070170000000f
  53006500720076006500720002000c0044006f006d00610069006e0001000c0053006500720076006500720000000000`);

describe('the example of MS-NLMP section 4.2.4', () => {
  test('responseKey() gives NTOWFv2 of section 4.2.4.1.1', () => {
    expect(responseKey('User', 'Domain', 'Password').toString('hex')).toBe('0c868a403bfd7a93a3001ef22ef02e3f');
  });

  test('ntlmV2Proof() gives the response and session base key of sections 4.2.4.1.2 and 4.2.4.2.2', () => {
    const { response, sessionBaseKey } = ntlmV2Proof(responseKey('User', 'Domain', 'Password'), {
      serverChallenge: hex('0123456789abcdef'),
      clientChallenge: CLIENT_CHALLENGE,
      timestamp: Buffer.alloc(8),
      attributes: AV_PAIRS,
    });
    expect(response.toString('hex')).toBe(
      `68cd0ab851e51c96aabc927bebef6a1c01010000000000000000000000000000aaaaaaaaaaaaaaaa00000000${AV_PAIRS.toString('hex')}00000000`,
    );
    expect(sessionBaseKey.toString('hex')).toBe('8de40ccadbc14a82f15cb0ad0de95ca3');
  });

  test('parseChallengeMessage() reads the CHALLENGE of section 4.2.4.3', () => {
    const { flags, serverChallenge, attributes } = parseChallengeMessage(CHALLENGE);
    expect(flags).toBe(0xe28a8233);
    expect(serverChallenge.toString('hex')).toBe('0123456789abcdef');
    expect(attributes.map(({ id, value }) => [id, Buffer.from(value).toString('utf16le')])).toEqual([
      [2, 'Domain'],
      [1, 'Server'],
    ]);
  });
});

test.each([
  ['User', 'DOMAIN', 'f38efea48ada6afaa95ae44669e5634b'],
  ['user@domain.com', '', '34d92b33889e711fe0a84486a02916ef'],
])('responseKey() upper-cases the user %s alone, not the domain "%s"', (username, domain, key) => {
  expect(responseKey(username, domain, 'Password').toString('hex')).toBe(key);
});

test('responseKey() upper-cases each UTF-16 unit alone, as Windows does', () => {
  expect(responseKey('straße', 'D', 'p')).toEqual(responseKey('STRAßE', 'D', 'p'));
  expect(responseKey('straße', 'D', 'p')).not.toEqual(responseKey('STRASSE', 'D', 'p'));
  expect(responseKey('é', 'D', 'p')).toEqual(responseKey('É', 'D', 'p'));
});

test('filetime() counts 100 ns from 1601', () => {
  expect(filetime(0).readBigUInt64LE()).toBe(116_444_736_000_000_000n);
  expect(filetime(1_495_570_387_000.9).readBigUInt64LE()).toBe(131_400_439_870_000_000n);
});

test('negotiateMessage() is 40 bytes, with a version, and with no name of anybody', () => {
  expect(negotiateMessage().toString('hex')).toBe(
    '4e544c4d53535000010000000782080200000000280000000000000028000000' + '0a0000000000000f',
  );
});

/** Chromium's setting: a NEGOTIATE of 32 bytes, without a version. */
const CHROMIUM: AuthenticateInput = {
  names: NAMES,
  negotiate: hex('4e544c4d53535000010000000782080000000000200000000000000020000000'),
  challenge: parseChallengeMessage(CHALLENGE),
  clientChallenge: CLIENT_CHALLENGE,
  nowMs: 1_495_570_387_000,
  servicePrincipal: 'HTTP/Server',
  channelBinding: bindingsOf('ntlm', hex('ea05fefecc6b0bd571dbbc5baa3ed45386d0446835f7b74c85621b9983475f95')),
};

test('authenticateMessage() gives, byte for byte, the message of Chromium with MIC, bindings and target name', () => {
  expect(authenticateMessage(CHROMIUM).toString('hex')).toBe(
    hex(`
      4e544c4d535350000300000018001800580000008a008a00700000000c000c00fa0000000800080006010000100010000e010000000000005800000003820800000000
      0000000000f7361633f0ad9bdf4a7c421bc6b824a30000000000000000000000000000000000000000000000008c0260dbef690662af9c42d50782d2ed0101000000000000
      800bc8fd00d4d201aaaaaaaaaaaaaaaa0000000002000c0044006f006d00610069006e0001000c0053006500720076006500720006000400020000000a0010006586e99d
      81c2fc984e47172fd4dd03100900160048005400540050002f00530065007200760065007200000000000000000044006f006d00610069006e0055007300650072004300
      4f004d0050005500540045005200`).toString('hex'),
  );
});

/** A CHALLENGE with these flags and attributes, and nothing else. */
function challengeOf(flags: number, attributes: Buffer): Buffer {
  const header = Buffer.alloc(48);
  header.write('NTLMSSP\0\x02', 'latin1');
  header.writeUInt32LE(flags, 20);
  header.write('01234567', 24);
  header.writeUInt16LE(attributes.length, 40);
  header.writeUInt32LE(48, 44);
  return Buffer.concat([header, attributes]);
}

const TARGET_INFO = 0x0080_0000;
const UNICODE = 0x1;
const OEM = 0x2;

/** What the message says, as a server reads it. */
function readBack(message: Buffer) {
  const field = (at: number) =>
    message.subarray(message.readUInt32LE(at + 4), message.readUInt32LE(at + 4) + message.readUInt16LE(at));
  const nt = field(20);
  return {
    flags: message.readUInt32LE(60),
    version: message.subarray(64, 72).toString('hex'),
    lm: field(12),
    domain: field(28),
    user: field(36),
    workstation: field(44),
    timestamp: nt.subarray(24, 32),
    attributes: parseOwn(nt.subarray(44, -4)),
  };
}

/** Like parseAvPairs(), but for a list that a client wrote. */
function parseOwn(list: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  for (let at = 0; list.readUInt16LE(at) !== 0; at += 4 + list.readUInt16LE(at + 2)) {
    found.set(list.readUInt16LE(at), list.subarray(at + 4, at + 4 + list.readUInt16LE(at + 2)));
  }
  return found;
}

const answerTo = (challenge: Buffer, more: Partial<AuthenticateInput> = {}) =>
  readBack(
    authenticateMessage({
      ...CHROMIUM,
      negotiate: negotiateMessage(),
      challenge: parseChallengeMessage(challenge),
      ...more,
    }),
  );

test("authenticateMessage() takes the server's time and adds the MIC flag to the server's flags", () => {
  const list = writeAvPairs([
    { id: 6, value: Uint8Array.of(1, 0, 0, 0) },
    { id: 7, value: Buffer.from('12345678') },
    { id: 0x77, value: Buffer.from('kept') },
  ]);
  const { timestamp, attributes, version } = answerTo(challengeOf(TARGET_INFO | UNICODE | 0x0200_0000, list));
  expect(timestamp.toString()).toBe('12345678');
  expect([...attributes.keys()]).toEqual([6, 7, 0x77, 10, 9]);
  expect([...(attributes.get(6) ?? [])]).toEqual([3, 0, 0, 0]);
  expect(version).toBe('0a0000000000000f');
});

test('authenticateMessage() answers a server of 32 bytes with its own attributes alone, still by NTLMv2', () => {
  const { attributes, flags, lm } = answerTo(challengeOf(UNICODE, Buffer.alloc(0)).subarray(0, 32), {
    channelBinding: null,
  });
  expect([...attributes.keys()]).toEqual([6, 9]);
  expect(flags & 0x0008_0000).toBe(0x0008_0000);
  expect(lm).toEqual(Buffer.alloc(24));
});

test('authenticateMessage() names nothing that was not offered: no signing, sealing, key exchange, LM key or 128 bits', () => {
  expect(answerTo(challengeOf(0xffff_ffff, writeAvPairs([]))).flags).toBe(0x0208_8207);
});

test('authenticateMessage() writes Unicode wherever the server takes it, and else only ASCII', () => {
  const names = { ...NAMES, username: 'jäger' };
  const both = answerTo(challengeOf(UNICODE | OEM, Buffer.alloc(0)), { names });
  expect([both.user.toString('utf16le'), both.flags & 1]).toEqual(['jäger', 1]);
  const ascii = answerTo(challengeOf(OEM, Buffer.alloc(0)));
  expect([ascii.user, ascii.domain, ascii.workstation].map(String)).toEqual(['User', 'Domain', 'COMPUTER']);
  expect(() => answerTo(challengeOf(OEM, Buffer.alloc(0)), { names })).toThrow(
    'Cannot log in by ntlm: the server does not take Unicode, and the user, domain or workstation is not ASCII',
  );
});

test('authenticateMessage() refuses attributes that leave no room for its own', () => {
  const list = writeAvPairs([{ id: 2, value: Buffer.alloc(32_000) }]);
  const servicePrincipal = `HTTP/${'h'.repeat(20_000)}`;
  expect(() => answerTo(challengeOf(TARGET_INFO | UNICODE, list), { servicePrincipal })).toThrow(AuthenticationError);
});

describe('SEC-092 (CVE-2018-16890, CVE-2019-3822): a CHALLENGE whose lengths, offsets or attributes lie is refused', () => {
  const patched = (patch: (message: Buffer) => void, message = Buffer.from(CHALLENGE)) => {
    patch(message);
    return message;
  };
  const listOf = (list: string) => challengeOf(TARGET_INFO | UNICODE, hex(list));
  const CASES: readonly (readonly [string, Buffer, string])[] = [
    ['no byte', Buffer.alloc(0), 'it is too short'],
    ['31 bytes', CHALLENGE.subarray(0, 31), 'it is too short'],
    ['attributes promised, and no field for them', CHALLENGE.subarray(0, 47), 'it is too short'],
    ['another signature', patched((m) => m.write('X')), 'it is none'],
    ['another type', patched((m) => m.writeUInt32LE(3, 8)), 'it is none'],
    ['1 MiB', Buffer.concat([CHALLENGE, Buffer.alloc(1 << 20)]), 'it has 1048680 bytes'],
    ['a name beyond the end', patched((m) => m.writeUInt32LE(100, 16)), 'a field lies outside of it'],
    ['a name at the end of memory', patched((m) => m.writeUInt32LE(0xffff_ffff, 16)), 'a field lies outside of it'],
    ['a name over the header', patched((m) => m.writeUInt32LE(40, 16)), 'a field lies outside of it'],
    ['attributes beyond the end', patched((m) => m.writeUInt16LE(37, 40)), 'a field lies outside of it'],
    ['attributes at the end of memory', patched((m) => m.writeUInt32LE(0xffff_fff0, 44)), 'a field lies outside of it'],
    ['two fields over one another', patched((m) => m.writeUInt32LE(0x3a, 16)), 'two of its fields overlap'],
    ['no end of attributes', listOf('0200020041000100'), 'the list of attributes has no end'],
    ['attributes that just stop', listOf('020002004100'), 'the list of attributes has no end'],
    ['half an attribute', listOf('0200020041000000'), 'the list of attributes has no end'],
    ['an attribute longer than the list', listOf('0200ffff41000000'), 'attribute 2 is longer than the list'],
    ['an end with a value', listOf('0000020041410000'), 'attribute 0 has a wrong length'],
    ['flags of 2 bytes', listOf('06000200000000000000'), 'attribute 6 has a wrong length'],
    ['a time of 4 bytes', listOf('070004000000000000000000'), 'attribute 7 has a wrong length'],
    ['an attribute twice', listOf('0200000002000000' + '00000000'), 'attribute 2 stands there twice'],
    ['a target name', listOf('0900000000000000'), "attribute 9 is not a server's to say"],
    ['channel bindings', listOf('0a00000000000000'), "attribute 10 is not a server's to say"],
  ];

  test.each(CASES)('SEC-092: parseChallengeMessage() refuses %s', (_, message, what) => {
    const expected = `Cannot read the server's NTLM challenge: ${what}`;
    expect(() => parseChallengeMessage(message)).toThrow(new AuthenticationError('ntlm', expected));
  });

  test('parseChallengeMessage() takes an empty name at whatever offset, and bytes behind the end of the attributes', () => {
    const message = patched((m) => {
      m.writeUInt16LE(0, 12);
      m.writeUInt32LE(0xffff_ffff, 16);
    });
    expect(parseChallengeMessage(message).attributes).toHaveLength(2);
    expect(parseChallengeMessage(listOf('0200000000000000ffff')).attributes).toHaveLength(1);
    expect(parseChallengeMessage(challengeOf(TARGET_INFO, Buffer.alloc(0))).attributes).toEqual([]);
  });

  const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((some) => Buffer.from(some));
  const outcome = (work: () => unknown) => {
    try {
      work();
      return 'fine';
    } catch (error) {
      return error instanceof AuthenticationError ? 'refused' : error;
    }
  };

  test('SEC-092: any bytes, and any change of a good message, are answered or refused, and never anything else', () => {
    const changed = fc.array(fc.tuple(fc.nat(CHALLENGE.length - 1), fc.nat(255)), { maxLength: 6 }).map((changes) =>
      patched((message) => {
        for (const [at, byte] of changes) message[at] = byte;
      }),
    );
    const begun = bytes(80).map((rest) => Buffer.concat([CHALLENGE.subarray(0, 12), rest]));
    const cut = fc.nat(CHALLENGE.length).map((length) => CHALLENGE.subarray(0, length));
    fc.assert(
      fc.property(fc.oneof(bytes(120), changed, begun, cut), (message) => {
        expect(outcome(() => answerTo(message))).toMatch(/^(?:fine|refused)$/);
      }),
      { numRuns: 1_000 },
    );
  });

  test('parseAvPairs() reads back what writeAvPairs() writes', () => {
    const pair = fc.record({ id: fc.constantFrom(1, 2, 3, 4, 5, 8, 0x77, 0xffff), value: bytes(20) });
    fc.assert(
      fc.property(fc.uniqueArray(pair, { selector: ({ id }) => id }), bytes(8), (pairs, behind) => {
        expect(parseAvPairs(Buffer.concat([writeAvPairs(pairs), behind]))).toEqual(pairs);
      }),
    );
  });
});
