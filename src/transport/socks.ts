/**
 * The SOCKS handshake, from the client's side: SOCKS4 with its extension 4A, SOCKS5 (RFC 1928) with username and password
 * (RFC 1929), and of their commands CONNECT.
 *
 * A machine over bytes: it says what to send, is fed what came, and says what follows from it. It decides on the first byte
 * that decides: a proxy that refuses need not send the rest of its reply, and many do not. Of a reply that grants it takes
 * exactly its length; what follows is the target's.
 *
 * Who resolves a name is the caller's choice: an IP address goes out as an address, whatever the scheme, anything else as a
 * name. The socket and the clock are socks-tunnel.ts's, the schemes of URLs contrib/socks.ts's.
 */
import { isIP } from 'node:net';
import { excerpt } from '../excerpt.js';
import { ipv6Groups } from '../util/host.js';

export type SocksVersion = 4 | 5;

/** What the proxy is to connect to. */
export interface SocksTarget {
  /** An IP address without brackets, or a DNS name in ASCII. */
  readonly host: string;
  readonly port: number;
}

/** Who asks. Bytes, because that is all that SOCKS says of them. */
export interface SocksLogin {
  /** The user id of SOCKS4, the username of SOCKS5. */
  readonly username: Uint8Array;
  /** Empty for SOCKS4, which has none. */
  readonly password: Uint8Array;
  /** Whether SOCKS5 may go on without login where the proxy does not ask for one. */
  readonly isRequired: boolean;
}

/** What is to be done next. */
export type SocksStep =
  | { readonly kind: 'send'; readonly bytes: Buffer }
  | { readonly kind: 'need-bytes' }
  /** The tunnel stands; `surplus` came through it already. */
  | { readonly kind: 'done'; readonly surplus: Buffer };

/**
 * Which kind of failure: the target cannot be said in this version; the proxy speaks something else, or not to this user; it
 * refuses the request as such; it did not reach this address, and might reach another.
 */
export type SocksFailure = 'target' | 'protocol' | 'login' | 'refused' | 'unreachable';

/** There is no tunnel. The message never holds what was sent as login. */
export class SocksError extends Error {
  override readonly name = 'SocksError';
  readonly failure: SocksFailure;

  constructor(failure: SocksFailure, message: string) {
    super(message);
    this.failure = failure;
  }
}

/** A length stands in one byte. */
const MAX_FIELD_BYTES = 255;

const NO_LOGIN = 0x00;
const PASSWORD_LOGIN = 0x02;
const NO_METHOD_ACCEPTED = 0xff;

const CONNECT = 0x01;

const IPV4 = 0x01;
const NAME = 0x03;
const IPV6 = 0x04;

const SOCKS4_GRANTED = 0x5a;
const SOCKS4_REPLY_BYTES = 8;
/** The address that says to a SOCKS4A proxy: a name follows. */
const NAME_FOLLOWS = [0, 0, 0, 1] as const;

type Refusal = readonly [words: string, failure: SocksFailure];

/** RFC 1928 section 6. */
const SOCKS5_REFUSALS: ReadonlyMap<number, Refusal> = new Map<number, Refusal>([
  [0x01, ['General SOCKS server failure', 'unreachable']],
  [0x02, ['Connection not allowed by ruleset', 'refused']],
  [0x03, ['Network unreachable', 'unreachable']],
  [0x04, ['Host unreachable', 'unreachable']],
  [0x05, ['Connection refused', 'unreachable']],
  [0x06, ['TTL expired', 'unreachable']],
  [0x07, ['Command not supported', 'refused']],
  [0x08, ['Address type not supported', 'unreachable']],
]);

const SOCKS4_REFUSALS: ReadonlyMap<number, Refusal> = new Map<number, Refusal>([
  [0x5b, ['Request rejected or failed', 'unreachable']],
  [0x5c, ['The proxy found no identd on this machine', 'login']],
  [0x5d, ['The request and identd on this machine give different user-ids', 'login']],
]);

const UNKNOWN: Refusal = ['Unknown error', 'refused'];

/**
 * Checks a login, before anything is done with it.
 *
 * @throws TypeError or RangeError that tells which part of it cannot be sent, and not what it is
 */
export function checkLogin(version: SocksVersion, { username, password }: SocksLogin): void {
  if (version === 4) {
    if (password.length > 0) throw new TypeError('Cannot use a password with SOCKS4: it has a user id only');
    if (username.includes(0)) throw new TypeError('Cannot use a user id with a NUL in it: there SOCKS4 would end it');
  } else if (username.length === 0) {
    throw new TypeError('Cannot use an empty username with SOCKS5: it must have at least one byte');
  }
  for (const [name, field] of [['username', username] as const, ['password', password] as const]) {
    if (field.length > MAX_FIELD_BYTES) {
      throw new RangeError(
        `Cannot use a ${name} of ${field.length} bytes with SOCKS: it must be at most ${MAX_FIELD_BYTES}`,
      );
    }
  }
}

export class SocksHandshake {
  readonly #version: SocksVersion;
  readonly #login: SocksLogin | null;
  readonly #request: Buffer;
  #state: 'start' | 'method' | 'login' | 'reply' | 'done' = 'start';
  /** What came and has not been used. */
  #received: Buffer = Buffer.alloc(0);

  /**
   * @throws SocksError if the target cannot be said in this version
   * @throws TypeError or RangeError as {@link checkLogin}
   */
  constructor(version: SocksVersion, target: SocksTarget, login: SocksLogin | null) {
    if (login !== null) checkLogin(version, login);
    this.#version = version;
    this.#login = login;
    this.#request = version === 4 ? socks4Request(target, login) : socks5Request(target);
  }

  /** Takes what the proxy sent; the bytes are copied. */
  feed(bytes: Uint8Array): void {
    this.#received = Buffer.concat([this.#received, bytes]);
  }

  /**
   * The next thing to do, until it is to wait for bytes or the tunnel stands.
   *
   * @throws SocksError as soon as it is certain that there will be no tunnel
   */
  next(): SocksStep {
    switch (this.#state) {
      case 'start':
        return this.#version === 4 ? this.#send(this.#request, 'reply') : this.#send(this.#greeting(), 'method');
      case 'method':
        return this.#onMethod();
      case 'login':
        return this.#onLoginReply();
      case 'reply':
        return this.#version === 4 ? this.#onSocks4Reply() : this.#onSocks5Reply();
      case 'done':
        return { kind: 'done', surplus: this.#take(this.#received.length) };
    }
  }

  /** RFC 1928 section 3. */
  #greeting(): Buffer {
    const methods = this.#login === null ? [NO_LOGIN] : [NO_LOGIN, PASSWORD_LOGIN];
    const offered = this.#login?.isRequired === true ? [PASSWORD_LOGIN] : methods;
    return Buffer.from([5, offered.length, ...offered]);
  }

  #onMethod(): SocksStep {
    const [, method] = this.#begin(5);
    if (method === undefined) return NEED_BYTES;
    this.#take(2);
    if (method === NO_LOGIN && this.#login?.isRequired !== true) return this.#send(this.#request, 'reply');
    if (method === PASSWORD_LOGIN && this.#login !== null) return this.#send(loginRequest(this.#login), 'login');
    if (method === NO_METHOD_ACCEPTED) {
      const advice = this.#login === null ? ': it may want a username and password' : '';
      throw new SocksError('login', `The SOCKS5 proxy accepts none of the offered authentication methods${advice}`);
    }
    throw new SocksError('protocol', `The SOCKS5 proxy chose authentication method ${hex(method)}, not offered to it`);
  }

  /** RFC 1929 section 2. */
  #onLoginReply(): SocksStep {
    const [, status] = this.#begin(1);
    if (status === undefined) return NEED_BYTES;
    this.#take(2);
    if (status !== 0) throw new SocksError('login', 'SOCKS5 authentication failed');
    return this.#send(this.#request, 'reply');
  }

  /** RFC 1928 section 6. */
  #onSocks5Reply(): SocksStep {
    const [, code, , type, nameLength] = this.#begin(5);
    if (code === undefined) return NEED_BYTES;
    if (code !== 0) throw refusal(5, code, SOCKS5_REFUSALS);
    if (type === undefined) return NEED_BYTES;
    let length: number;
    switch (type) {
      case IPV4:
        length = 4 + 4 + 2;
        break;
      case IPV6:
        length = 4 + 16 + 2;
        break;
      case NAME:
        if (nameLength === undefined) return NEED_BYTES;
        length = 4 + 1 + nameLength + 2;
        break;
      default:
        throw new SocksError('protocol', `SOCKS5 proxy server sent invalid data: address type ${hex(type)}`);
    }
    return this.#granted(length);
  }

  #onSocks4Reply(): SocksStep {
    const [, code] = this.#begin(0);
    if (code === undefined) return NEED_BYTES;
    if (code !== SOCKS4_GRANTED) throw refusal(4, code, SOCKS4_REFUSALS);
    return this.#granted(SOCKS4_REPLY_BYTES);
  }

  #granted(replyBytes: number): SocksStep {
    if (this.#received.length < replyBytes) return NEED_BYTES;
    this.#take(replyBytes);
    this.#state = 'done';
    return this.next();
  }

  #send(bytes: Buffer, next: 'method' | 'login' | 'reply'): SocksStep {
    this.#state = next;
    return { kind: 'send', bytes };
  }

  /** The bytes received, of which the first must be `version`. */
  #begin(version: number): Buffer {
    const first = this.#received[0];
    if (first === undefined || first === version) return this.#received;
    throw new SocksError(
      'protocol',
      `SOCKS${this.#version} proxy server sent invalid data: its answer begins with ${hex(first)}, not ${hex(version)}`,
    );
  }

  #take(count: number): Buffer {
    const taken = this.#received.subarray(0, count);
    this.#received = this.#received.subarray(count);
    return taken;
  }
}

const NEED_BYTES: SocksStep = { kind: 'need-bytes' };

function refusal(version: SocksVersion, code: number, refusals: ReadonlyMap<number, Refusal>): SocksError {
  const [words, failure] = refusals.get(code) ?? UNKNOWN;
  return new SocksError(failure, `SOCKS${version} proxy answered ${hex(code)}: ${words}`);
}

function loginRequest({ username, password }: SocksLogin): Buffer {
  return Buffer.concat([[1, username.length], username, [password.length], password].map((part) => Buffer.from(part)));
}

/** RFC 1928 section 4. */
function socks5Request(target: SocksTarget): Buffer {
  return Buffer.concat([Buffer.from([5, CONNECT, 0]), socks5Address(target.host), portBytes(target.port)]);
}

function socks5Address(host: string): Buffer {
  switch (isIP(host)) {
    case 4:
      return Buffer.from([IPV4, ...ipv4Bytes(host)]);
    case 6:
      return Buffer.from([IPV6, ...ipv6Bytes(host)]);
    default: {
      const name = nameBytes(host);
      return Buffer.concat([Buffer.from([NAME, name.length]), name]);
    }
  }
}

function socks4Request({ host, port }: SocksTarget, login: SocksLogin | null): Buffer {
  const family = isIP(host);
  if (family === 6) throw new SocksError('target', `SOCKS4 cannot connect to the IPv6 address ${host}`);
  const end = Buffer.alloc(1);
  return Buffer.concat([
    Buffer.from([4, CONNECT]),
    portBytes(port),
    Buffer.from(family === 4 ? ipv4Bytes(host) : NAME_FOLLOWS),
    login?.username ?? Buffer.alloc(0),
    end,
    ...(family === 4 ? [] : [nameBytes(host), end]),
  ]);
}

/** A NUL would end the name in SOCKS4, and let what follows be taken for the target's first bytes. */
function nameBytes(host: string): Buffer {
  if (!/^[\u0021-\u007e]+$/.test(host)) {
    throw new SocksError('target', `SOCKS cannot connect to ${excerpt(host)}: it must be a DNS name in ASCII`);
  }
  if (host.length > MAX_FIELD_BYTES) {
    throw new SocksError(
      'target',
      `SOCKS cannot connect to a name of ${host.length} bytes: ${MAX_FIELD_BYTES} is the most`,
    );
  }
  return Buffer.from(host, 'latin1');
}

function ipv4Bytes(address: string): number[] {
  return address.split('.').map(Number);
}

function ipv6Bytes(address: string): number[] {
  if (address.includes('%')) {
    throw new SocksError('target', `SOCKS cannot connect to ${excerpt(address)}: its zone is of this machine only`);
  }
  return ipv6Groups(address).flatMap((group) => [group >> 8, group & 255]);
}

function portBytes(port: number): Buffer {
  return Buffer.from([port >> 8, port & 255]);
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}
