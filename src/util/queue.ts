/**
 * The order in which a pool hands out its idle connections (reference: "ConnectionPool.QueueCls").
 *
 * Last in, first out: the connection used last is the least likely to have been closed by its server, and those that
 * are too many grow old together.
 */

/** What a pool needs of the class that holds its idle connections. */
export interface Queue<T> {
  readonly size: number;
  put(item: T): void;
  get(): T | undefined;
  delete(item: T): boolean;
  [Symbol.iterator](): IterableIterator<T>;
}

/** Gives what was put last. */
export class LifoQueue<T> implements Queue<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  put(item: T): void {
    this.#items.push(item);
  }

  get(): T | undefined {
    return this.#items.pop();
  }

  /** Takes `item` out, wherever it stands; false if it is not there. */
  delete(item: T): boolean {
    const index = this.#items.lastIndexOf(item);
    if (index === -1) return false;
    this.#items.splice(index, 1);
    return true;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#items[Symbol.iterator]();
  }
}
