/**
 * TCP connections for whoever needs a bare one (reference: "urllib3.util.connection module").
 *
 * `createConnection` is {@link dial} with the reference's arguments, seconds and exceptions. The library's own
 * connections call `dial` themselves, because they read without streams and speak of their pool in errors.
 */
import net from 'node:net';
import { networkInterfaces } from 'node:os';
import { ConnectTimeoutError, LocationParseError, NameResolutionError, NewConnectionError } from '../exceptions.js';
import { describe } from '../excerpt.js';
import { DialError, dial } from '../transport/dial.js';
import type { SocketOption } from '../transport/socket-options.js';
import { NON_ASCII, normalizeName } from './host.js';
import { Timeout, type TimeoutValue } from './timeout.js';

export {
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SOL_SOCKET,
  type SocketOption,
  TCP_KEEPIDLE,
  TCP_NODELAY,
} from '../transport/socket-options.js';

/** What {@link createConnection} takes beside the address. */
export interface CreateConnectionOptions {
  /** Seconds until the connection must be there, name resolution included; `null` or absent waits for as long as the system does. */
  readonly timeout?: TimeoutValue | undefined;
  /** The local [host, port] to connect from: an IP address, or '' for any; a port, or 0 for any. */
  readonly sourceAddress?: readonly [host: string, port: number] | null | undefined;
  /** Options for the socket, as [level, option, value]; none by default. */
  readonly socketOptions?: readonly SocketOption[] | null | undefined;
  /** Aborting it ends the attempt: the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | null | undefined;
}

/**
 * Connects to `[host, port]` and gives the socket.
 *
 * All addresses of the host are tried, overlapping, IPv6 and IPv4 in turn. The socket is an ordinary `net.Socket`
 * without Nagle's algorithm switched off, unless `socketOptions` say so. An error on it never ends the process: one
 * listener is on it already.
 *
 * @example
 * ```ts
 * const socket = await createConnection(['example.com', 80], { timeout: 2.5 });
 * ```
 * @throws TypeError, RangeError or {@link LocationParseError} for arguments that cannot be used, before any I/O
 * @throws {@link NameResolutionError} if the host has no address
 * @throws {@link ConnectTimeoutError} if the timeout passes
 * @throws {@link NewConnectionError} if no address accepts the connection
 */
export async function createConnection(
  address: readonly [host: string, port: number],
  options: CreateConnectionOptions = {},
): Promise<net.Socket> {
  // Own properties only: a polluted Object.prototype must not choose the source address or the options (SEC-027).
  const given: CreateConnectionOptions = Object.assign(Object.create(null), options);
  const timeout = new Timeout({ connect: given.timeout }).connect;
  const [host, port] = checkAddress(address);
  try {
    return await dial({
      host,
      port,
      timeoutMs: typeof timeout === 'number' ? timeout * 1000 : null,
      sourceAddress: given.sourceAddress ?? null,
      socketOptions: given.socketOptions ?? [],
      lookup: null,
      signal: given.signal ?? null,
      onread: null,
      family: allowedGaiFamily(),
    });
  } catch (error) {
    if (!(error instanceof DialError)) throw error;
    switch (error.phase) {
      case 'resolve':
        throw new NameResolutionError(host, null, { cause: error });
      case 'timeout':
        throw new ConnectTimeoutError(null, `Connection to ${host} timed out. (connect timeout=${String(timeout)})`, {
          cause: error,
        });
      case 'connect':
        throw new NewConnectionError(null, `Failed to establish a new connection: ${error.message}`, { cause: error });
    }
  }
}

function checkAddress(address: readonly [unknown, unknown]): [host: string, port: number] {
  if (!Array.isArray(address) || address.length !== 2) {
    throw new TypeError(`Cannot connect to ${describe(address)}: it must be [host, port]`);
  }
  const [host, port]: unknown[] = address;
  if (typeof host !== 'string') throw new TypeError(`Cannot use host ${describe(host)}: it must be a string`);
  if (typeof port !== 'number') throw new TypeError(`Cannot use port ${describe(port)}: it must be a whole number`);
  return [hostToDial(host), port];
}

/** Without the brackets of a URL, and in ASCII. What else may be wrong with a host is found where it is resolved. */
function hostToDial(host: string): string {
  if (host.startsWith('[') && host.endsWith(']')) return host.slice(1, -1);
  return NON_ASCII.test(host) ? normalizeName(host, (detail) => new LocationParseError(host, { detail })) : host;
}

/** What {@link isConnectionDropped} can look at: a connection that knows, one that has a socket, or a socket. */
export type DroppableConnection =
  | { readonly isConnected: boolean }
  | { readonly socket: net.Socket | null }
  | net.Socket
  | null;

/**
 * True if the connection is dropped, so that it must be closed and not be used again.
 *
 * An idle connection is dropped if it has no socket, if either side has ended or closed it, and also if bytes have come
 * that nobody asked for: they would be taken for the next response. What still waits in the kernel cannot be seen.
 */
export function isConnectionDropped(conn: DroppableConnection): boolean {
  if (conn === null) return true;
  if (conn instanceof net.Socket) return isSocketDropped(conn);
  if ('isConnected' in conn) return !conn.isConnected;
  return conn.socket === null || isSocketDropped(conn.socket);
}

function isSocketDropped(socket: net.Socket): boolean {
  return !socket.readable || !socket.writable || socket.readableLength > 0;
}

let ipv6Usable: boolean | undefined;

/**
 * The family of addresses to ask the resolver for: 0 for both where this machine has IPv6, else 4.
 *
 * Found out once per process. Where the reference tries to bind `::1`, which cannot be done synchronously here, an
 * interface with an IPv6 address is looked for: a system with IPv6 has at least `::1`.
 */
export function allowedGaiFamily(): 0 | 4 {
  ipv6Usable ??= Object.values(networkInterfaces()).some((addresses) =>
    addresses?.some(({ family }) => family === 'IPv6'),
  );
  return ipv6Usable ? 0 : 4;
}
