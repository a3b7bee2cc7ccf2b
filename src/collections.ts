/**
 * The container of a manager's pools: a map with a bound, which gives up what was not used for longest.
 *
 * A `Map` keeps insertion order, so the order of use is the map's own order: what is used is taken out and put back at
 * the end. What falls out is handed to `disposeFunc` once the container is consistent again, so that the function may use
 * the container. Which pools are equal is not known here (poolmanager.ts makes the keys).
 */
import { describe } from './excerpt.js';

export interface RecentlyUsedContainerOptions<V> {
  /** Called with every value that leaves the container: evicted, replaced, deleted or cleared. */
  readonly disposeFunc?: (value: V) => void;
}

const DEFAULT_MAXSIZE = 10;

/** No key at all: every other value may be one. */
const NONE = Symbol('none');

/**
 * A map of at most `maxsize` entries; beyond that the least recently used one leaves.
 *
 * @example
 * ```ts
 * const pools = new RecentlyUsedContainer<string, Pool>(10, { disposeFunc: (pool) => pool.close() });
 * ```
 *
 * @throws TypeError or RangeError for a `maxsize` that is not a whole number >= 0
 */
export class RecentlyUsedContainer<K, V> {
  /** How many entries are kept. */
  readonly maxsize: number;
  readonly #disposeFunc: ((value: V) => void) | undefined;
  /** From the least to the most recently used. */
  readonly #entries = new Map<K, V>();
  /** The key at the end of `#entries`: the manager asks for the same pool again and again, and that need not move. */
  #newest: K | typeof NONE = NONE;

  constructor(maxsize: number = DEFAULT_MAXSIZE, options: RecentlyUsedContainerOptions<V> = {}) {
    const disposeFunc = Object.hasOwn(options, 'disposeFunc') ? options.disposeFunc : undefined;
    if (typeof maxsize !== 'number') throw new TypeError(badMaxsize(maxsize));
    if (!Number.isInteger(maxsize) || maxsize < 0) throw new RangeError(badMaxsize(maxsize));
    if (disposeFunc !== undefined && typeof disposeFunc !== 'function') {
      throw new TypeError(`Cannot use disposeFunc ${describe(disposeFunc)}: it must be a function`);
    }
    this.maxsize = maxsize;
    this.#disposeFunc = disposeFunc;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The value of `key`, which becomes the most recently used. */
  get(key: K): V | undefined {
    const value = this.#entries.get(key);
    if (value === undefined || key === this.#newest) return value;
    this.#entries.delete(key);
    this.#append(key, value);
    return value;
  }

  /** Puts `value` in, as the most recently used; what it replaces or pushes out is disposed of. */
  set(key: K, value: V): this {
    const gone: V[] = [];
    for (const replaced of this.#take(key)) if (replaced !== value) gone.push(replaced);
    this.#append(key, value);
    if (this.#entries.size > this.maxsize) gone.push(...this.#takeOldest());
    this.#dispose(gone);
    return this;
  }

  /** Takes `key` out and disposes of its value; says whether it was there. */
  delete(key: K): boolean {
    const gone = this.#take(key);
    this.#dispose(gone);
    return gone.length > 0;
  }

  /** Whether `key` is there; does not count as a use. */
  has(key: K): boolean {
    return this.#entries.has(key);
  }

  /** The keys as they are now, from the least to the most recently used. */
  keys(): IterableIterator<K> {
    return [...this.#entries.keys()].values();
  }

  /** The values as they are now, from the least to the most recently used. */
  values(): IterableIterator<V> {
    return [...this.#entries.values()].values();
  }

  /** Empties the container, then disposes of every value. */
  clear(): void {
    const gone = [...this.#entries.values()];
    this.#entries.clear();
    this.#newest = NONE;
    this.#dispose(gone);
  }

  #append(key: K, value: V): void {
    this.#entries.set(key, value);
    this.#newest = key;
  }

  /** The value of `key`, taken out; nothing where there is none. */
  #take(key: K): V[] {
    // A key that is there has a value of type V, which may itself be undefined.
    const taken = this.#entries.has(key) ? [this.#entries.get(key) as V] : [];
    this.#entries.delete(key);
    if (key === this.#newest) this.#newest = NONE;
    return taken;
  }

  #takeOldest(): V[] {
    const oldest = this.#entries.keys().next();
    return oldest.done === true ? [] : this.#take(oldest.value);
  }

  /** Every value is disposed of, also when one of them fails; the first failure is then thrown. */
  #dispose(values: readonly V[]): void {
    const failures: unknown[] = [];
    for (const value of values) {
      try {
        this.#disposeFunc?.(value);
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

function badMaxsize(maxsize: unknown): string {
  return `Cannot use maxsize ${describe(maxsize)}: it must be a whole number >= 0`;
}
