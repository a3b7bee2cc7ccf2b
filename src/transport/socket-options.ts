/**
 * Socket options as Python's `setsockopt` takes them: [level, option, value], by Linux's numbers.
 *
 * Node has no setsockopt, but calls for three of them; any other is refused before a socket is opened, never ignored.
 */
import type net from 'node:net';
import { describe } from '../excerpt.js';

/** The level of options of every socket. */
export const SOL_SOCKET = 1;
/** Of {@link SOL_SOCKET}: 1 probes a silent peer from time to time. */
export const SO_KEEPALIVE = 9;
/** The level of TCP's options. */
export const IPPROTO_TCP = 6;
/** Of {@link IPPROTO_TCP}: 1 sends small segments at once (switches Nagle's algorithm off). */
export const TCP_NODELAY = 1;
/** Of {@link IPPROTO_TCP}: seconds of silence before the first probe of {@link SO_KEEPALIVE}. */
export const TCP_KEEPIDLE = 4;

/** One option; see {@link checkSocketOptions} for those that exist. */
export type SocketOption = readonly [level: number, option: number, value: number];

/**
 * Seconds of silence before the first probe where only SO_KEEPALIVE is given: 0 leaves the system's setting, as Python
 * does (seen with strace on Node 20, 22 and 24). Windows takes 0 by its word or refuses it, depending on the version, so
 * there it is the two hours of RFC 9293 section 3.8.4.
 */
const DEFAULT_KEEPIDLE = process.platform === 'win32' ? 7200 : 0;

/** Linux takes no more (MAX_TCP_KEEPIDLE), and Node would not say that it was refused. */
const MAX_KEEPIDLE = 32_767;

const SUPPORTED =
  '[IPPROTO_TCP, TCP_NODELAY, 0 or 1], [SOL_SOCKET, SO_KEEPALIVE, 0 or 1] or [IPPROTO_TCP, TCP_KEEPIDLE, seconds]';

interface Settings {
  noDelay: boolean | undefined;
  keepAlive: boolean | undefined;
  keepIdle: number | undefined;
}

/**
 * Checks a list of options from outside, before any I/O, and gives it back as what it is.
 *
 * @throws TypeError if it is no list of options, holds one that Node cannot set, or TCP_KEEPIDLE without SO_KEEPALIVE
 * @throws RangeError if the seconds of TCP_KEEPIDLE are not a whole number from 1 to 32767
 */
export function checkSocketOptions(options: unknown): readonly SocketOption[] {
  if (!Array.isArray(options)) {
    throw new TypeError(
      `Cannot use socket options ${describe(options)}: they must be an array of [level, option, value]`,
    );
  }
  const checked = options.map(checkOption);
  const { keepAlive, keepIdle } = settingsOf(checked);
  if (keepIdle !== undefined && keepAlive !== true) {
    throw new TypeError('Cannot use TCP_KEEPIDLE alone: [SOL_SOCKET, SO_KEEPALIVE, 1] must switch the probes on');
  }
  return checked;
}

/** Sets `options`, as {@link checkSocketOptions} gave them, on a connected socket; of two for one thing the later counts. */
export function applySocketOptions(socket: net.Socket, options: readonly SocketOption[]): void {
  const { noDelay, keepAlive, keepIdle } = settingsOf(options);
  if (noDelay !== undefined) socket.setNoDelay(noDelay);
  if (keepAlive !== undefined) socket.setKeepAlive(keepAlive, (keepIdle ?? DEFAULT_KEEPIDLE) * 1000);
}

function checkOption(option: unknown): SocketOption {
  if (!Array.isArray(option) || option.length !== 3 || !option.every(Number.isSafeInteger)) {
    const shown = Array.isArray(option) ? `[${option.map(describe).join(', ')}]` : describe(option);
    throw new TypeError(`Cannot use socket option ${shown}: it must be [level, option, value], three whole numbers`);
  }
  const [level, name, value]: number[] = option;
  if (level === undefined || name === undefined || value === undefined || !isSupported(level, name)) {
    throw new TypeError(`Cannot set socket option [${option.join(', ')}]: Node supports only ${SUPPORTED}`);
  }
  if (name === TCP_KEEPIDLE && (value < 1 || value > MAX_KEEPIDLE)) {
    throw new RangeError(`Cannot use TCP_KEEPIDLE ${value}: it must be seconds from 1 to ${MAX_KEEPIDLE}`);
  }
  return [level, name, value];
}

function isSupported(level: number, name: number): boolean {
  return level === IPPROTO_TCP
    ? name === TCP_NODELAY || name === TCP_KEEPIDLE
    : level === SOL_SOCKET && name === SO_KEEPALIVE;
}

function settingsOf(options: readonly SocketOption[]): Settings {
  const settings: Settings = { noDelay: undefined, keepAlive: undefined, keepIdle: undefined };
  for (const [level, name, value] of options) {
    if (level === SOL_SOCKET) settings.keepAlive = value !== 0;
    else if (name === TCP_NODELAY) settings.noDelay = value !== 0;
    else settings.keepIdle = value;
  }
  return settings;
}
