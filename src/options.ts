/**
 * How a caller's options become the ones that we work with: once, at the entry, by a table with one rule an option.
 *
 * `undefined` and absent mean "the default of the level above". Only own properties count, so that a polluted
 * Object.prototype sets nothing, and a name that no rule knows is refused: a misspelt option must not be ignored.
 */
import { describe } from './excerpt.js';

/** Turns a given value into the resolved one, or throws TypeError or RangeError. */
export type Rule<T> = (name: string, value: unknown) => T;

/** One rule for each option: the compiler demands them all. */
export type Rules<T> = { readonly [K in keyof T]-?: Rule<T[K]> };

/**
 * `given` over `defaults`.
 *
 * @param owner - what the options are for, for messages
 */
export function resolveOptions<T extends object>(
  owner: string,
  given: object | undefined,
  rules: Rules<T>,
  defaults: T,
): T {
  const resolved: T = { ...defaults };
  if (given === undefined) return resolved;
  if (typeof given !== 'object' || given === null) {
    throw new TypeError(`Cannot use ${describe(given)} as options of ${owner}: they must be an object`);
  }
  for (const name of Object.keys(given)) {
    if (!isOptionOf(rules, name))
      throw new TypeError(`Cannot use option ${describe(name)}: ${owner} has no such option`);
    const value: unknown = Reflect.get(given, name);
    if (value !== undefined) resolved[name] = rules[name](name, value);
  }
  return resolved;
}

/** A copy of a caller's options with own properties only: a polluted Object.prototype must not add any. */
export function ownOptions<T extends object>(options: T): T {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`Cannot use ${describe(options)} as options of a request: they must be an object`);
  }
  return Object.assign(Object.create(null), options);
}

/**
 * As {@link ownOptions}, for a call that checks each option itself: a misspelt one is refused.
 *
 * @param names - every option: the compiler demands them all
 */
export function knownOptions<T extends object>(
  owner: string,
  options: T,
  names: { readonly [K in keyof T]-?: true },
): T {
  const own = ownOptions(options);
  for (const name of Object.keys(own)) {
    if (!Object.hasOwn(names, name))
      throw new TypeError(`Cannot use option ${describe(name)}: ${owner} has no such option`);
  }
  return own;
}

function isOptionOf<T>(rules: Rules<T>, name: string): name is keyof T & string {
  return Object.hasOwn(rules, name);
}

export function boolean(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be true or false`);
}

/** A number of seconds, 0 or more; null for no limit. */
export function secondsOrNull(name: string, value: unknown): number | null {
  if (value === null) return null;
  if (typeof value !== 'number' || Number.isNaN(value)) {
    throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be a number of seconds, or null for no limit`);
  }
  if (value < 0) throw new RangeError(`Cannot use ${name} ${value}: it must be a number of seconds >= 0`);
  return value;
}

export function positiveInteger(name: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be a whole number`);
  }
  if (value < 1) throw new RangeError(`Cannot use ${name} ${value}: it must be at least 1`);
  return value;
}

export function portOrNull(name: string, value: unknown): number | null {
  if (value === null) return null;
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be a port number`);
  }
  if (value < 0 || value > 65_535) throw new RangeError(`Cannot use ${name} ${value}: it must be from 0 to 65535`);
  return value;
}

export function textOrNull(name: string, value: unknown): string | null {
  if (value === null || typeof value === 'string') return value;
  throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be text`);
}

export function signalOrNull(name: string, value: unknown): AbortSignal | null {
  if (value === null || value instanceof AbortSignal) return value;
  throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be an AbortSignal`);
}

/** A function, whose type its option declares: what it takes and gives cannot be checked before it is called. */
export function functionOrNull<F>(name: string, value: unknown): F | null {
  if (value === null) return null;
  // The parameters of a function cannot be seen at run time.
  if (typeof value === 'function') return value as F;
  throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be a function`);
}

/** A value that another module checks. */
export function checkedElsewhere<T>(_name: string, value: unknown): T {
  // Whoever takes it out of the resolved options gives it to the module that checks it.
  return value as T;
}
