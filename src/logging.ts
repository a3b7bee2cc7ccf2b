/**
 * Log lines, for whoever wants to see what the library does (reference: "Logging", "urllib3.add_stderr_logger").
 *
 * Off until a handler is there, and then free of cost: a call site asks a plain boolean before it builds its line,
 * `if (logger.isDebug) logger.debug('urllib3.connectionpool', ...)`, and the boolean only changes with the handlers.
 * Every line is one line: text of a peer cannot forge another, and the user-info of URLs is cut out (excerpt.ts).
 *
 * What tools want to count and trace is told by diagnostics.ts, as data; what must be seen unasked is a warning (warnings.ts).
 */
import { debuglog } from 'node:util';
import { HTTPWarning } from './exceptions.js';
import { describe, oneLine } from './excerpt.js';
import { warn } from './warnings.js';

/** How much a line matters. */
export type LogLevel = 'debug' | 'info' | 'warning' | 'error';

/** A level by its name, or by its number in Python: 10, 20, 30, 40. */
export type LogLevelLike = LogLevel | 10 | 20 | 30 | 40;

/** One line, as a handler is given it. */
export interface LogRecord {
  readonly level: LogLevel;
  /** The part of the library that says it, as in the reference: `urllib3.connectionpool`. */
  readonly logger: string;
  /** One line of at most some 4,000 characters, escaped, without user-info. */
  readonly message: string;
  readonly time: Date;
}

/** Where log lines go to. */
export interface LogHandlerOptions {
  /** The least level that it is given. @defaultValue 'debug' */
  readonly level?: LogLevelLike | undefined;
  /** Takes one line. What it throws is told once, as a warning; the request goes on. */
  write(record: LogRecord): void;
}

const RANKS: { readonly [level in LogLevel]: number } = { debug: 10, info: 20, warning: 30, error: 40 };
const LEVELS = new Map<unknown, LogLevel>();
for (const level of ['debug', 'info', 'warning', 'error'] as const) LEVELS.set(level, level).set(RANKS[level], level);

/**
 * A handler that was added: its `level` may be changed, and `remove()` ends it.
 *
 * @example
 * const handler = addStderrLogger();
 * handler.level = 'warning';
 * handler.remove();
 */
export class LogHandler {
  readonly #write: (record: LogRecord) => void;
  #level: LogLevel;
  #hasFailed = false;

  /** @internal use {@link addLogHandler} */
  constructor(level: LogLevel, write: (record: LogRecord) => void) {
    this.#level = level;
    this.#write = write;
  }

  /** The least level that it is given: set by name or by number, read as a name. */
  get level(): LogLevel {
    return this.#level;
  }

  set level(level: LogLevelLike) {
    this.#level = knownLevel(level);
    logger.refresh();
  }

  /** Takes it off the logger: from now on it is given nothing. Doing so twice is fine. */
  remove(): void {
    logger.removeHandler(this);
  }

  /** The same as {@link remove}. */
  close(): void {
    this.remove();
  }

  [Symbol.dispose](): void {
    this.remove();
  }

  /** @internal */
  take(record: LogRecord): void {
    try {
      this.#write(record);
    } catch (error) {
      // A broken log must not break a request, nor be silent, nor flood the process with warnings.
      if (this.#hasFailed) return;
      this.#hasFailed = true;
      warn(new HTTPWarning(`A log handler of urllib3 failed: ${oneLine(String(error))}`));
    }
  }
}

/** What the library's own files call; users add handlers. */
class Logger {
  /** Does any handler take debug lines? To be asked before a line is built. */
  isDebug = false;
  isInfo = false;
  isWarning = false;
  isError = false;

  #level: LogLevel = 'debug';
  /** Replaced, never changed: a handler may be removed while a line is being written. */
  #handlers: readonly LogHandler[] = [];

  get level(): LogLevel {
    return this.#level;
  }

  set level(level: LogLevel) {
    this.#level = level;
    this.refresh();
  }

  /** @param name - the part of the library that says it, `urllib3.connectionpool` */
  debug(name: string, message: string): void {
    if (this.isDebug) this.#emit('debug', name, message);
  }

  info(name: string, message: string): void {
    if (this.isInfo) this.#emit('info', name, message);
  }

  warning(name: string, message: string): void {
    if (this.isWarning) this.#emit('warning', name, message);
  }

  error(name: string, message: string): void {
    if (this.isError) this.#emit('error', name, message);
  }

  addHandler(handler: LogHandler): void {
    this.#handlers = [...this.#handlers, handler];
    this.refresh();
  }

  removeHandler(handler: LogHandler): void {
    this.#handlers = this.#handlers.filter((other) => other !== handler);
    this.refresh();
  }

  refresh(): void {
    const least = Math.min(...this.#handlers.map((handler) => RANKS[handler.level]));
    const from = Math.max(least, RANKS[this.#level]);
    this.isDebug = from <= RANKS.debug;
    this.isInfo = from <= RANKS.info;
    this.isWarning = from <= RANKS.warning;
    this.isError = from <= RANKS.error;
  }

  #emit(level: LogLevel, name: string, message: string): void {
    const record = Object.freeze({ level, logger: name, message: oneLine(message), time: new Date() });
    for (const handler of this.#handlers) if (RANKS[handler.level] <= RANKS[level]) handler.take(record);
  }
}

/**
 * The one logger of the process.
 *
 * @internal
 */
export const logger = new Logger();

/**
 * Writes log lines to stderr, such as `2026-11-22 15:13:51,123 DEBUG Starting new HTTP connection (1): localhost:80`.
 *
 * As in the reference, it lowers the level of the whole library to its own if {@link setLogLevel} had raised it.
 *
 * @param level - the least level that is written
 * @returns the handler: change its `level`, end it with `remove()`
 * @throws TypeError or RangeError, if there is no such level
 * @see Reference, "urllib3.add_stderr_logger"
 */
export function addStderrLogger(level: LogLevelLike = 'debug'): LogHandler {
  const name = knownLevel(level);
  const handler = addLogHandler({ level: name, write: (record) => writeLine(formatted(record)) });
  if (RANKS[logger.level] > RANKS[name]) logger.level = name;
  logger.debug('urllib3', 'Added a stderr logging handler to logger: urllib3');
  return handler;
}

/**
 * Hands log lines to a function of yours: for pino, winston, a file or a test.
 *
 * @example
 * addLogHandler({ level: 'info', write: ({ level, message }) => pino[level === 'warning' ? 'warn' : level](message) });
 *
 * @returns the handler: change its `level`, end it with `remove()`
 * @throws TypeError or RangeError, if there is no such level or `write` is not a function
 */
export function addLogHandler(options: LogHandlerOptions): LogHandler {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`Cannot add log handler ${describe(options)}: it must be an object with write()`);
  }
  if (typeof options.write !== 'function') {
    throw new TypeError(`Cannot use write ${describe(options.write)} of a log handler: it must be a function`);
  }
  const handler = new LogHandler(knownLevel(options.level ?? 'debug'), (record) => options.write(record));
  logger.addHandler(handler);
  return handler;
}

/**
 * Sets the least level of the whole library: handlers are given nothing below it, whatever their own level.
 *
 * @throws TypeError or RangeError, if there is no such level
 * @see User Guide, "Logging"
 */
export function setLogLevel(level: LogLevelLike): void {
  logger.level = knownLevel(level);
}

function knownLevel(level: unknown): LogLevel {
  const known = LEVELS.get(level);
  if (known !== undefined) return known;
  const wanted = 'it must be "debug", "info", "warning", "error", 10, 20, 30 or 40';
  const message = `Cannot use log level ${describe(level)}: ${wanted}`;
  throw typeof level === 'string' || typeof level === 'number' ? new RangeError(message) : new TypeError(message);
}

/** As the reference's formatter: '%(asctime)s %(levelname)s %(message)s', in local time. */
function formatted({ level, message, time }: LogRecord): string {
  const date = `${time.getFullYear()}-${digits(time.getMonth() + 1)}-${digits(time.getDate())}`;
  const clock = `${digits(time.getHours())}:${digits(time.getMinutes())}:${digits(time.getSeconds())}`;
  return `${date} ${clock},${digits(time.getMilliseconds(), 3)} ${level.toUpperCase()} ${message}`;
}

/**
 * To stderr itself: a console may have been replaced by one that decorates the line. That its reader has gone is not our trouble, nor
 * may it become that of the process. Where there is no stderr, as in browsers, there is the console.
 */
function writeLine(line: string): void {
  const stderr = globalThis.process?.stderr;
  if (stderr === undefined) return console.error(line);
  stderr.once('error', ignore);
  stderr.write(`${line}\n`, (error) => {
    // Its event comes after this.
    if (error != null && stderr.listenerCount('error') === 0) stderr.once('error', ignore);
  });
  stderr.off('error', ignore);
}

function ignore(): void {}

function digits(value: number, width = 2): string {
  return String(value).padStart(width, '0');
}

// NODE_DEBUG=urllib3, as for Node's own parts: read once, when the process starts.
const nodeDebug = debuglog('urllib3');
if (nodeDebug.enabled)
  addLogHandler({ write: ({ level, message }) => nodeDebug('%s %s', level.toUpperCase(), message) });
