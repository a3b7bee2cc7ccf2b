import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RecentlyUsedContainer } from '../src/collections.js';

function recording(maxsize?: number) {
  const disposed: string[] = [];
  const container = new RecentlyUsedContainer<string, string>(maxsize, {
    disposeFunc: (value) => disposed.push(value),
  });
  return { container, disposed };
}

describe('RecentlyUsedContainer', () => {
  test('keeps ten entries unless it is told otherwise', () => {
    expect(new RecentlyUsedContainer().maxsize).toBe(10);
    expect(new RecentlyUsedContainer(3).maxsize).toBe(3);
    expect(new RecentlyUsedContainer(3).size).toBe(0);
  });

  test('set() pushes the least recently used entry out and disposes of it', () => {
    const { container, disposed } = recording(2);
    container.set('a', 'A').set('b', 'B');
    expect(container.get('a')).toBe('A');
    container.set('c', 'C');
    expect([...container.keys()]).toEqual(['a', 'c']);
    expect([...container.values()]).toEqual(['A', 'C']);
    expect(disposed).toEqual(['B']);
    expect(container.size).toBe(2);
  });

  test('get() makes an entry the most recent one, also twice in a row, and leaves absent keys absent', () => {
    const { container } = recording(3);
    container.set('a', 'A').set('b', 'B').set('c', 'C');
    container.get('a');
    container.get('a');
    expect([...container.keys()]).toEqual(['b', 'c', 'a']);
    expect(container.get('x')).toBeUndefined();
    expect([...container.keys()]).toEqual(['b', 'c', 'a']);
  });

  test('get() after delete() of the newest entry still moves', () => {
    const { container } = recording(3);
    container.set('a', 'A').set('b', 'B').set('c', 'C').delete('c');
    container.get('a');
    expect([...container.keys()]).toEqual(['b', 'a']);
  });

  test('has() does not count as a use', () => {
    const { container, disposed } = recording(2);
    container.set('a', 'A').set('b', 'B');
    expect(container.has('a')).toBe(true);
    expect(container.has('x')).toBe(false);
    container.set('c', 'C');
    expect(disposed).toEqual(['A']);
  });

  test('set() disposes of the value it replaces, but not of the same value', () => {
    const { container, disposed } = recording(2);
    container.set('a', 'A').set('b', 'B').set('a', 'A2');
    expect(disposed).toEqual(['A']);
    expect([...container.keys()]).toEqual(['b', 'a']);
    container.set('a', 'A2');
    expect(disposed).toEqual(['A']);
  });

  test('delete() disposes and says whether there was something', () => {
    const { container, disposed } = recording(2);
    container.set('a', 'A');
    expect(container.delete('a')).toBe(true);
    expect(container.delete('a')).toBe(false);
    expect(disposed).toEqual(['A']);
  });

  test('clear() disposes of everything, after the container is empty', () => {
    const sizes: number[] = [];
    const container: RecentlyUsedContainer<string, string> = new RecentlyUsedContainer(5, {
      disposeFunc: () => sizes.push(container.size),
    });
    container.set('a', 'A').set('b', 'B').clear();
    expect(sizes).toEqual([0, 0]);
    expect(container.get('a')).toBeUndefined();
  });

  test('disposeFunc may use the container', () => {
    const container: RecentlyUsedContainer<string, string> = new RecentlyUsedContainer(1, {
      disposeFunc: (value) => {
        if (value === 'A') container.set('again', 'A2');
      },
    });
    container.set('a', 'A').set('b', 'B');
    expect([...container.keys()]).toEqual(['again']);
  });

  test('disposes of every value also when disposeFunc fails, and then throws the first failure', () => {
    const disposed: string[] = [];
    const container = new RecentlyUsedContainer<string, string>(5, {
      disposeFunc: (value) => {
        disposed.push(value);
        throw new Error(`cannot close ${value}`);
      },
    });
    container.set('a', 'A').set('b', 'B');
    expect(() => container.clear()).toThrow('cannot close A');
    expect(disposed).toEqual(['A', 'B']);
    expect(container.size).toBe(0);
  });

  test('works without a disposeFunc, and with a maxsize of 0 keeps nothing', () => {
    expect(new RecentlyUsedContainer<string, number>(1).set('a', 1).set('b', 2).get('b')).toBe(2);
    const { container, disposed } = recording(0);
    expect(container.set('a', 'A').size).toBe(0);
    expect(disposed).toEqual(['A']);
  });

  test('takes undefined and NaN as keys and undefined as a value', () => {
    const container = new RecentlyUsedContainer<unknown, unknown>(2);
    container.set(undefined, 1).set(Number.NaN, 2);
    expect(container.get(undefined)).toBe(1);
    expect([...container.keys()]).toEqual([Number.NaN, undefined]);
    container.set('x', undefined);
    expect([...container.keys()]).toEqual([undefined, 'x']);
    expect(container.delete('x')).toBe(true);
  });

  test.each([
    [-1, RangeError, 'Cannot use maxsize -1: it must be a whole number >= 0'],
    [1.5, RangeError, 'Cannot use maxsize 1.5: it must be a whole number >= 0'],
    [Number.NaN, RangeError, 'Cannot use maxsize NaN: it must be a whole number >= 0'],
    ['3', TypeError, 'Cannot use maxsize "3": it must be a whole number >= 0'],
    [null, TypeError, 'Cannot use maxsize null: it must be a whole number >= 0'],
  ])('rejects maxsize %j', (maxsize, error, message) => {
    // Deliberately of a wrong type: what JavaScript can pass.
    const make = () => new RecentlyUsedContainer(maxsize as never);
    expect(make).toThrow(error);
    expect(make).toThrow(message);
  });

  test('rejects a disposeFunc that is not a function, and sees own options only', () => {
    // Deliberately of a wrong type: what JavaScript can pass.
    expect(() => new RecentlyUsedContainer(1, { disposeFunc: 'close' as never })).toThrow(
      'Cannot use disposeFunc "close": it must be a function',
    );
    const inherited = Object.create({ disposeFunc: 'close' });
    expect(new RecentlyUsedContainer(1, inherited).set('a', 1).size).toBe(1);
  });

  test('behaves like a list of entries under any series of uses', () => {
    const step = fc.tuple(fc.constantFrom('get', 'set', 'delete'), fc.constantFrom('a', 'b', 'c', 'd'), fc.nat(3));
    fc.assert(
      fc.property(fc.nat(3), fc.array(step, { maxLength: 40 }), (maxsize, steps) => {
        const disposed: number[] = [];
        const container = new RecentlyUsedContainer<string, number>(maxsize, { disposeFunc: (v) => disposed.push(v) });
        let model: [string, number][] = [];
        const gone: number[] = [];
        for (const [kind, key, value] of steps) {
          const found = model.find(([name]) => name === key);
          if (kind === 'get') expect(container.get(key)).toBe(found?.[1]);
          else if (kind === 'set') container.set(key, value);
          else container.delete(key);
          model = model.filter((entry) => entry !== found);
          if (kind === 'get' && found) model.push(found);
          if (kind === 'set') model.push([key, value]);
          if (found && (kind === 'delete' || (kind === 'set' && found[1] !== value))) gone.push(found[1]);
          if (model.length > maxsize) gone.push(...model.splice(0, 1).map(([, old]) => old));
          expect([...container.keys()]).toEqual(model.map(([name]) => name));
          expect(disposed).toEqual(gone);
        }
      }),
    );
  });
});
