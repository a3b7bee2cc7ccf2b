/**
 * What a Retry can be told: its options, how each is checked, and the history that is one of them.
 *
 * One rule per option goes from what a caller may write to what a Retry holds; below that nobody asks "was it given?".
 * Everything that comes out is frozen and may be shared. What a Retry does with it: retry.ts.
 */
import { inspect } from 'node:util';
import { describe, excerpt, withoutUserinfo } from '../excerpt.js';
import { asciiLowerCase } from '../headers.js';

/** How many are left: `null` is no limit; `false` is none, and an error is then thrown as it is, without `MaxRetryError`. */
export type RetryCount = number | false | null;

/** How a wait is made of the times that the backoff formula gives. */
export type Backoff = 'exponential' | 'full-jitter';

/** Every setting of a {@link Retry}; what is absent or `undefined` has its default. */
export interface RetryOptions {
  /**
   * Retries in all, redirects among them; takes precedence over the other counts.
   *
   * `null` sets no limit (redirects still end after 20, unless `redirect` is given); `false` disables retries and redirects,
   * and errors come as they are, without `MaxRetryError`.
   *
   * @defaultValue 10
   */
  readonly total?: RetryCount | undefined;
  /** Retries after errors before the request was sent; `false` re-throws such errors. @defaultValue null */
  readonly connect?: RetryCount | undefined;
  /** Retries after errors once the request was sent, for {@link allowedMethods} only; `false` re-throws them. @defaultValue null */
  readonly read?: RetryCount | undefined;
  /** Redirects to follow; `false` follows none and implies `raiseOnRedirect: false`. @defaultValue null */
  readonly redirect?: RetryCount | undefined;
  /** Retries after a status of {@link statusForcelist} or with a Retry-After; `false` is 0. @defaultValue null */
  readonly status?: RetryCount | undefined;
  /** Retries after errors that are neither connect nor read errors; `false` re-throws them. @defaultValue null */
  readonly other?: RetryCount | undefined;
  /**
   * The methods that are retried after the request was sent; `null` or `false` is any method, an empty list none.
   *
   * @defaultValue Retry.DEFAULT_ALLOWED_METHODS, the idempotent ones
   */
  readonly allowedMethods?: Iterable<string> | false | null | undefined;
  /** @deprecated the former name of {@link allowedMethods} */
  readonly methodWhitelist?: Iterable<string> | false | null | undefined;
  /** The statuses (100 to 999) that are retried for allowed methods. @defaultValue null, which is none */
  readonly statusForcelist?: Iterable<number> | null | undefined;
  /**
   * Seconds: from the second failure on, wait `backoffFactor * 2 ** (failures - 1)` before the next attempt.
   *
   * @defaultValue 0, which does not wait
   */
  readonly backoffFactor?: number | undefined;
  /**
   * How the wait follows from {@link backoffFactor}: `'exponential'` waits just that long, as in the reference;
   * `'full-jitter'` a random time from 0 to that, so that clients which failed together do not come back together.
   *
   * @defaultValue 'exponential'
   */
  readonly backoff?: Backoff | undefined;
  /** Seconds that a backoff lasts at most. @defaultValue 120 */
  readonly backoffMax?: number | undefined;
  /** Seconds: a random time up to this is added to each backoff, of either kind. @defaultValue 0 */
  readonly backoffJitter?: number | undefined;
  /** Whether a redirect too many raises `MaxRetryError`; else its response is returned. @defaultValue true */
  readonly raiseOnRedirect?: boolean | undefined;
  /** Whether a bad status too many raises `MaxRetryError`; else its response is returned. @defaultValue true */
  readonly raiseOnStatus?: boolean | undefined;
  /** What has happened before. @defaultValue null, which is nothing */
  readonly history?: Iterable<RequestHistory> | null | undefined;
  /** Whether Retry-After is waited for, and retried on with {@link Retry.RETRY_AFTER_STATUS_CODES}. @defaultValue true */
  readonly respectRetryAfterHeader?: boolean | undefined;
  /** Seconds that a Retry-After is obeyed at most. @defaultValue 21600, six hours */
  readonly retryAfterMax?: number | undefined;
  /**
   * The header fields that a redirect to another origin must not carry, in any spelling; an empty list or `null` is none.
   *
   * Takes the place of the whole default: `[...Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT, 'X-Mine']` adds to it.
   *
   * @defaultValue Retry.DEFAULT_REMOVE_HEADERS_ON_REDIRECT
   */
  readonly removeHeadersOnRedirect?: Iterable<string> | null | undefined;
}

/** Every setting that a Retry has, and that {@link RetryOptions} can give. */
export const OPTION_NAMES = [
  'total',
  'connect',
  'read',
  'redirect',
  'status',
  'other',
  'allowedMethods',
  'statusForcelist',
  'backoffFactor',
  'backoff',
  'backoffMax',
  'backoffJitter',
  'raiseOnRedirect',
  'raiseOnStatus',
  'history',
  'respectRetryAfterHeader',
  'retryAfterMax',
  'removeHeadersOnRedirect',
] as const satisfies readonly (keyof RetryOptions)[];

type OptionName = (typeof OPTION_NAMES)[number];

/** Beside the options: these counts may be below zero, because `increment()` made them. */
export const SPENT: unique symbol = Symbol('spent');

/**
 * What happened in one attempt. A tuple, as in the reference: `const [method, url, error, status, location] = entry`.
 */
export class RequestHistory {
  readonly method: string | null;
  readonly url: string | null;
  /** The error, where there was one. */
  readonly error: Error | null;
  /** The status of the response, where that was the failure. */
  readonly status: number | null;
  /** Where the response redirected to. */
  readonly redirectLocation: string | null;

  constructor(
    method: string | null,
    url: string | null,
    error: Error | null,
    status: number | null,
    redirectLocation: string | null,
  ) {
    this.method = method;
    this.url = url;
    this.error = error;
    this.status = status;
    this.redirectLocation = redirectLocation;
    Object.freeze(this);
  }

  *[Symbol.iterator](): IterableIterator<string | number | Error | null> {
    yield this.method;
    yield this.url;
    yield this.error;
    yield this.status;
    yield this.redirectLocation;
  }

  /** On one line, without the user-info of its URLs. */
  toString(): string {
    const error = this.error === null ? 'null' : `${this.error.name}(${excerpt(this.error.message)})`;
    return (
      `RequestHistory(method=${shownText(this.method)}, url=${shownUrl(this.url)}, error=${error}, ` +
      `status=${this.status}, redirectLocation=${shownUrl(this.redirectLocation)})`
    );
  }

  [inspect.custom](): string {
    return this.toString();
  }
}

/**
 * A history to which one more entry can be added without a copy of the others: each retry has the log of the one before.
 *
 * The array that users see is made when they ask for it, so that a chain of n redirects costs n steps and not n squared.
 */
export class HistoryLog {
  static readonly EMPTY: HistoryLog = new HistoryLog(null, null, 0, 0, 0);

  /** Entries in all, those that redirected, and those at the end that did not. */
  readonly length: number;
  readonly redirects: number;
  readonly failuresInARow: number;
  readonly #before: HistoryLog | null;
  readonly #last: RequestHistory | null;
  #entries: readonly RequestHistory[] | null = null;

  private constructor(
    before: HistoryLog | null,
    last: RequestHistory | null,
    length: number,
    redirects: number,
    failuresInARow: number,
  ) {
    this.#before = before;
    this.#last = last;
    this.length = length;
    this.redirects = redirects;
    this.failuresInARow = failuresInARow;
  }

  with(entry: RequestHistory): HistoryLog {
    const isRedirect = entry.redirectLocation !== null;
    return new HistoryLog(
      this,
      entry,
      this.length + 1,
      this.redirects + (isRedirect ? 1 : 0),
      isRedirect ? 0 : this.failuresInARow + 1,
    );
  }

  /** In order; frozen, and the same array each time. */
  get entries(): readonly RequestHistory[] {
    this.#entries ??= Object.freeze(this.#collect());
    return this.#entries;
  }

  *[Symbol.iterator](): IterableIterator<RequestHistory> {
    yield* this.entries;
  }

  #collect(): RequestHistory[] {
    const entries: RequestHistory[] = [];
    for (let log: HistoryLog | null = this; log !== null; log = log.#before) {
      if (log.#last !== null) entries.push(log.#last);
    }
    return entries.reverse();
  }
}

/** A set whose owner has shared it with everyone: like Python's frozenset it cannot change. */
export class FrozenSet<T> extends Set<T> {
  constructor(values: Iterable<T>) {
    super();
    for (const value of values) super.add(value);
  }

  override add(): never {
    throw new TypeError('Cannot change a set that Retry objects share: make a new Retry');
  }

  override delete(): never {
    this.add();
  }

  override clear(): never {
    this.add();
  }
}

const KNOWN_OPTIONS: ReadonlySet<string> = new Set(OPTION_NAMES);

/** What a caller gave, by option name; `SPENT` is there if `increment()` was the caller. */
export type Given = ReadonlyMap<string | typeof SPENT, unknown>;

/** The own options of both places, each name once; a name that no option has is an error. */
export function givenOptions(first: RetryCount | RetryOptions | undefined, options: RetryOptions = {}): Given {
  const given = new Map<string | typeof SPENT, unknown>();
  if (typeof first === 'object' && first !== null) give(given, first);
  else if (first !== undefined) given.set('total', first);
  give(given, options);
  return given;
}

function give(given: Map<string | typeof SPENT, unknown>, options: object): void {
  if (Object.hasOwn(options, SPENT)) given.set(SPENT, true);
  const entries: [string, unknown][] = Object.entries(options);
  for (const [key, value] of entries) {
    if (value === undefined) continue;
    const name = key === 'methodWhitelist' ? 'allowedMethods' : key;
    if (!KNOWN_OPTIONS.has(name)) throw new TypeError(`Cannot make a Retry with the unknown option ${excerpt(key)}`);
    if (given.has(name)) throw new TypeError(`Cannot make a Retry with ${name} given twice`);
    given.set(name, value);
  }
}

type Rule<T> = (name: string, value: unknown) => T;

/** The value of option `name` as its rule makes it, or `fallback` where none was given. */
export function setting<T>(given: Given, name: OptionName, rule: Rule<T>, fallback: T): T {
  const value = given.get(name);
  return value === undefined ? fallback : rule(name, value);
}

/** What a list or set that came out of a rule is, for the same rule: each retry hands on the settings of the one before. */
const MADE_BY = new WeakMap<object, Rule<unknown>>();

/** Marks `value` as one that `rule` need not check again. */
export function made<T extends object>(rule: Rule<unknown>, value: T): T {
  MADE_BY.set(value, rule);
  return value;
}

function isMadeBy(rule: Rule<unknown>, value: unknown): boolean {
  return typeof value === 'object' && value !== null && MADE_BY.get(value) === rule;
}

export const NO_STATUS: ReadonlySet<number> = made(statusSet, new FrozenSet<number>([]));
const NO_NAMES: ReadonlySet<string> = made(fieldNameSet, new FrozenSet<string>([]));

export function unspentCount(name: string, value: unknown): RetryCount {
  const count = spentCount(name, value);
  if (typeof count === 'number' && count < 0) throw new RangeError(badCount(name, value));
  return count;
}

export function spentCount(name: string, value: unknown): RetryCount {
  if (value === null || value === false) return value;
  if (typeof value !== 'number') throw new TypeError(badCount(name, value));
  if (!Number.isInteger(value)) throw new RangeError(badCount(name, value));
  return value;
}

function badCount(name: string, value: unknown): string {
  return `Cannot use ${describe(value)} as ${name} of a Retry: it must be a whole number >= 0, null or false`;
}

export function seconds(name: string, value: unknown): number {
  const message = () => `Cannot use ${describe(value)} as ${name} of a Retry: it must be a number of seconds >= 0`;
  if (typeof value !== 'number') throw new TypeError(message());
  if (!(value >= 0) || value === Number.POSITIVE_INFINITY) throw new RangeError(message());
  return value;
}

export function backoffKind(name: string, value: unknown): Backoff {
  if (value === 'exponential' || value === 'full-jitter') return value;
  throw new TypeError(`Cannot use ${describe(value)} as ${name} of a Retry: it must be "exponential" or "full-jitter"`);
}

export function flag(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new TypeError(`Cannot use ${describe(value)} as ${name} of a Retry: it must be true or false`);
}

export function methodSet(name: string, value: unknown): ReadonlySet<string> | null {
  if (value === null || value === false) return null;
  // Only what this rule made is marked as made by it, here and below.
  if (isMadeBy(methodSet, value)) return value as FrozenSet<string>;
  const methods = Array.from(elements(name, value), (element) => asciiUpperCase(text(name, element)));
  return made(methodSet, new FrozenSet(methods));
}

export function fieldNameSet(name: string, value: unknown): ReadonlySet<string> {
  if (value === null) return NO_NAMES;
  if (isMadeBy(fieldNameSet, value)) return value as FrozenSet<string>;
  const names = Array.from(elements(name, value), (element) => asciiLowerCase(text(name, element)));
  return made(fieldNameSet, new FrozenSet(names));
}

export function statusSet(name: string, value: unknown): ReadonlySet<number> {
  if (value === null) return NO_STATUS;
  if (isMadeBy(statusSet, value)) return value as FrozenSet<number>;
  const statuses = Array.from(elements(name, value), (element) => statusCode(name, element));
  return made(statusSet, new FrozenSet(statuses));
}

function statusCode(name: string, value: unknown): number {
  const message = () => `Cannot use ${describe(value)} in ${name} of a Retry: it must be a status from 100 to 999`;
  if (typeof value !== 'number') throw new TypeError(message());
  if (!Number.isInteger(value) || value < 100 || value > 999) throw new RangeError(message());
  return value;
}

function text(name: string, value: unknown): string {
  if (typeof value === 'string') return value;
  throw new TypeError(`Cannot use ${describe(value)} in ${name} of a Retry: it must be a string`);
}

export function historyLog(name: string, value: unknown): HistoryLog {
  if (value === null) return HistoryLog.EMPTY;
  if (value instanceof HistoryLog) return value;
  let log = HistoryLog.EMPTY;
  for (const element of elements(name, value)) log = log.with(historyEntry(name, element));
  return log;
}

function historyEntry(name: string, value: unknown): RequestHistory {
  if (value instanceof RequestHistory) return value;
  throw new TypeError(`Cannot use ${describe(value)} in ${name} of a Retry: it must be a RequestHistory`);
}

/** Text is iterable too, letter by letter, which nobody means. */
function elements(name: string, value: unknown): Iterable<unknown> {
  if (typeof value === 'object' && value !== null && isIterable(value)) return value;
  throw new TypeError(`Cannot use ${describe(value)} as ${name} of a Retry: it must be an array or a Set`);
}

function isIterable(value: object): value is Iterable<unknown> {
  return Symbol.iterator in value;
}

/** a to z made capitals and nothing else: `toUpperCase` would also turn U+017F into "S". */
export function asciiUpperCase(value: string): string {
  return value.replace(/[a-z]+/g, (letters) => letters.toUpperCase());
}

function shownText(value: string | null): string {
  return value === null ? 'null' : excerpt(value);
}

function shownUrl(value: string | null): string {
  return value === null ? 'null' : excerpt(withoutUserinfo(value));
}
