import { expect, test } from 'vitest';
import { LifoQueue } from '../../src/util/queue.js';

function queueOf(...items: string[]): LifoQueue<string> {
  const queue = new LifoQueue<string>();
  for (const item of items) queue.put(item);
  return queue;
}

test('LifoQueue gives what was put last, and undefined when it is empty', () => {
  const queue = queueOf('a', 'b', 'c');
  expect(queue.size).toBe(3);
  expect([queue.get(), queue.get(), queue.get(), queue.get()]).toEqual(['c', 'b', 'a', undefined]);
  expect(queue.size).toBe(0);
});

test('LifoQueue.delete() takes an item out wherever it stands, and says whether it was there', () => {
  const queue = queueOf('a', 'b', 'c', 'd');
  expect([queue.delete('b'), queue.delete('d'), queue.delete('b')]).toEqual([true, true, false]);
  expect([...queue]).toEqual(['a', 'c']);
  expect(queue.get()).toBe('c');
});
