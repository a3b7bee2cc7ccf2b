/**
 * A TCP connection to a host: its addresses (resolve.ts), the race to them (race.ts), the socket's options.
 *
 * Addresses only are dialled, never names, and everything together is within one time limit. Nothing that a caller
 * handed in reaches `net.connect` as an object: it gets options built here, in which every name that Node looks at is an
 * own property (SEC-027). TLS, tunnels and SOCKS run over the link that this makes; turning a {@link DialError} into
 * the library's exceptions is their and the connection's business.
 */
import net from 'node:net';
import { describe } from '../excerpt.js';
import type { Bounds, ConnectBounds } from './bounded.js';
import { type FailedAttempt, RaceError, raceConnect } from './race.js';
import { type Address, type LookupFunction, ResolveError, resolveHost } from './resolve.js';
import { applySocketOptions, checkSocketOptions, type SocketOption } from './socket-options.js';

/** Everything that decides how a link is made. */
export interface DialOptions {
  /** A DNS name in ASCII (a trailing dot stays), or an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** Milliseconds for everything, DNS and race; null for no limit. */
  readonly timeoutMs: number | null;
  /** The local address to bind: an IP address or '' for any, a port or 0 for any. Limits the race to its family. */
  readonly sourceAddress: readonly [host: string, port: number] | null;
  readonly socketOptions: readonly SocketOption[];
  /** Asked instead of the system's resolver, for IP addresses too. */
  readonly lookup: LookupFunction | null;
  readonly signal: AbortSignal | null;
  /** Told as names are resolved, and as addresses are dialled. */
  readonly enter?: ConnectBounds['enter'];
  /**
   * Makes the buffer and callback of a socket that reads past the stream machinery; called for each attempt. Only the
   * winner's callback is ever called, at the earliest in a turn of the event loop after `dial` has resolved.
   */
  readonly onread: (() => net.OnReadOpts) | null;
  /** Makes the socket of an attempt from complete options; by default `net.connect`. TLS puts its own in here. */
  readonly open?: ((options: net.TcpNetConnectOpts) => net.Socket) | undefined;
  /** Only this family is dialled; 0 for both. */
  readonly family?: 0 | 4 | 6;
}

/** In which part of dialling it failed; `timeout` in either. */
export type DialPhase = 'resolve' | 'connect' | 'timeout';

/** No link could be made. The `cause` is the system's error; of several, an AggregateError whose own cause is the last. */
export class DialError extends Error {
  override readonly name = 'DialError';
  readonly phase: DialPhase;
  readonly host: string;
  readonly port: number;
  /** What became of each address that was tried. */
  readonly attempts: readonly FailedAttempt[];

  constructor(
    phase: DialPhase,
    { host, port }: DialOptions,
    message: string,
    attempts: readonly FailedAttempt[],
    cause: unknown,
  ) {
    super(message, { cause });
    this.phase = phase;
    this.host = host;
    this.port = port;
    this.attempts = attempts;
  }
}

/**
 * Makes a TCP connection.
 *
 * The socket comes connected and with its options set. Of ours it carries one listener, {@link ignoreError}: a reset
 * may arrive before the caller's code runs, and an `error` event without a listener would end the process. The caller
 * attaches its own listeners, takes that one off, and looks at `socket.destroyed` and `socket.errored`, which tell what
 * happened until then.
 *
 * @throws TypeError or RangeError for options that cannot be used, and LocationParseError for such a host, before any I/O
 * @throws DialError if no link could be made; the signal's reason if it was aborted
 */
export async function dial(options: DialOptions): Promise<net.Socket> {
  const { host, port, lookup, signal, sourceAddress, onread } = options;
  const socketOptions = checkSocketOptions(options.socketOptions);
  checkPort('port', port);
  const family = familyToDial(options);
  const bounds: Bounds = { signal, deadlineMs: deadlineOf(options.timeoutMs) };
  try {
    const enter = Object.hasOwn(options, 'enter') ? options.enter : null;
    enter?.('resolve');
    const addresses = await resolveHost(host, { lookup, family, ...bounds });
    const open = Object.hasOwn(options, 'open') && options.open !== undefined ? options.open : net.connect;
    enter?.('connect');
    const openSocket = (address: Address) => open(connectOptions(address, port, sourceAddress, onread));
    const socket = await raceConnect(addresses, openSocket, bounds);
    applySocketOptions(socket, socketOptions);
    return socket;
  } catch (error) {
    throw translated(error, options);
  }
}

function checkPort(what: string, port: unknown): void {
  if (typeof port !== 'number' || !Number.isInteger(port)) {
    throw new TypeError(`Cannot use ${what} ${describe(port)}: it must be a whole number`);
  }
  if (port < 0 || port > 0xffff) throw new RangeError(`Cannot use ${what} ${port}: it must be from 0 to 65535`);
}

function familyToDial(options: DialOptions): 0 | 4 | 6 {
  const { sourceAddress } = options;
  const wanted = Object.hasOwn(options, 'family') ? (options.family ?? 0) : 0;
  if (wanted !== 0 && wanted !== 4 && wanted !== 6) {
    throw new TypeError(`Cannot use address family ${describe(wanted)}: it must be 0, 4 or 6`);
  }
  const source = sourceAddress === null ? 0 : sourceFamily(sourceAddress);
  if (wanted !== 0 && source !== 0 && wanted !== source) {
    throw new TypeError(`Cannot use an IPv${source} source address: only IPv${wanted} is to be dialled`);
  }
  return wanted === 0 ? source : wanted;
}

function sourceFamily(sourceAddress: readonly [unknown, unknown]): 0 | 4 | 6 {
  if (!Array.isArray(sourceAddress) || sourceAddress.length !== 2) {
    throw new TypeError(`Cannot use source address ${describe(sourceAddress)}: it must be [host, port]`);
  }
  const [host, port]: unknown[] = sourceAddress;
  checkPort('source port', port);
  if (host === '') return 0;
  const family = typeof host === 'string' ? net.isIP(host) : 0;
  if (family !== 4 && family !== 6) {
    throw new TypeError(`Cannot use source host ${describe(host)}: it must be an IP address, or "" for any`);
  }
  return family;
}

function deadlineOf(timeoutMs: unknown): number | null {
  if (timeoutMs === null) return null;
  if (typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs)) {
    throw new TypeError(`Cannot use time limit ${describe(timeoutMs)}: it must be milliseconds, or null for none`);
  }
  if (timeoutMs <= 0) throw new RangeError(`Cannot use a time limit of ${timeoutMs} ms: it must be greater than 0`);
  return performance.now() + timeoutMs;
}

/** What `net.connect` is given, and under which names it would look up more. */
interface ConnectOptions extends net.TcpNetConnectOpts {
  host: string;
  port: number;
  localAddress: string | undefined;
  localPort: number;
  onread: net.OnReadOpts | undefined;
}

/**
 * Every option that `net.connect` and the constructors below it look up. Node copies the object it is given into an ordinary
 * one, so that having no prototype is not enough: those that we do not want have to be own properties as well.
 *
 * All names stand here from the start, so that copying it is one step: built name by name, the options of a connection were
 * 6 kB of garbage.
 */
const CONNECT_OPTIONS = {
  host: '',
  port: 0,
  autoSelectFamily: false,
  localAddress: undefined,
  localPort: 0,
  onread: undefined,
  path: undefined,
  family: undefined,
  hints: undefined,
  lookup: undefined,
  timeout: undefined,
  autoSelectFamilyAttemptTimeout: undefined,
  blockList: undefined,
  typeOfService: undefined,
  fd: undefined,
  handle: undefined,
  signal: undefined,
  noDelay: undefined,
  keepAlive: undefined,
  keepAliveInitialDelay: undefined,
  keepAliveInterval: undefined,
  keepAliveCount: undefined,
  allowHalfOpen: undefined,
  pauseOnCreate: undefined,
  manualStart: undefined,
  captureRejections: undefined,
  encoding: undefined,
  defaultEncoding: undefined,
  readable: undefined,
  writable: undefined,
  objectMode: undefined,
  readableObjectMode: undefined,
  writableObjectMode: undefined,
  highWaterMark: undefined,
  readableHighWaterMark: undefined,
  writableHighWaterMark: undefined,
  construct: undefined,
  read: undefined,
  write: undefined,
  writev: undefined,
  final: undefined,
  destroy: undefined,
};

function connectOptions(
  { address }: Address,
  port: number,
  sourceAddress: DialOptions['sourceAddress'],
  onread: DialOptions['onread'],
): net.TcpNetConnectOpts {
  // What is undefined there is absent for Node; only its types tell the two apart.
  const options = { ...CONNECT_OPTIONS } as unknown as ConnectOptions;
  options.host = address;
  options.port = port;
  if (sourceAddress !== null) {
    if (sourceAddress[0] !== '') options.localAddress = sourceAddress[0];
    options.localPort = sourceAddress[1];
  }
  if (onread !== null) options.onread = onread();
  return options;
}

/** Ours become a DialError; a caller's mistake and the signal's reason stay what they are. */
function translated(error: unknown, options: DialOptions): unknown {
  if (error instanceof ResolveError) {
    const phase = error.kind === 'timeout' ? 'timeout' : 'resolve';
    return new DialError(phase, options, error.message, [], error.cause ?? error);
  }
  if (error instanceof RaceError) {
    const { attempts, kind } = error;
    if (kind === 'failed') return new DialError('connect', options, error.message, attempts, causeOf(error));
    const message = `No connection within ${options.timeoutMs} ms (${error.message})`;
    return new DialError('timeout', options, message, attempts, causeOf(error));
  }
  return error;
}

/** The error itself where there is one; else all of them, with the last as the cause in which a code can be found. */
function causeOf({ attempts, message }: RaceError): Error | undefined {
  const errors = attempts.map(({ error }) => error);
  const last = errors.at(-1);
  if (errors.length < 2) return last;
  return new AggregateError(errors, message, { cause: last });
}
