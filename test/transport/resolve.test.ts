import dns from 'node:dns';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { LocationParseError } from '../../src/exceptions.js';
import { type LookupFunction, type ResolveOptions, resolveHost } from '../../src/transport/resolve.js';

afterEach(() => void vi.restoreAllMocks());

function options(given: Partial<ResolveOptions> = {}): ResolveOptions {
  return { lookup: null, family: 0, signal: null, deadlineMs: null, ...given };
}

/** A hook that answers at once, whatever the types allow. */
function answering(...answer: unknown[]): LookupFunction {
  return (_host, _options, callback) => Reflect.apply(callback, undefined, [null, ...answer]);
}

describe('resolveHost()', () => {
  test.each([
    ['127.0.0.1', 4],
    ['::1', 6],
    ['fe80::1%eth0', 6],
    ['::ffff:192.0.2.1', 6],
  ])('takes the IP literal %s as it is, without asking DNS', async (host, family) => {
    const lookup = vi.spyOn(dns, 'lookup');
    await expect(resolveHost(host, options())).resolves.toEqual([{ address: host, family }]);
    expect(lookup).not.toHaveBeenCalled();
  });

  test('asks the system for all addresses in their order, with the trailing dot of the name', async () => {
    const lookup = vi.spyOn(dns, 'lookup').mockImplementation((...args: unknown[]): void => {
      const callback: unknown = args.at(-1);
      if (typeof callback === 'function') callback(null, [{ address: '2001:db8::1', family: 6 }]);
    });
    await expect(resolveHost('www.example.com.', options({ family: 6 }))).resolves.toEqual([
      { address: '2001:db8::1', family: 6 },
    ]);
    const [host, question] = lookup.mock.lastCall ?? [];
    expect(host).toBe('www.example.com.');
    expect(question).toEqual({ all: true, family: 6, hints: 0, order: 'verbatim', verbatim: true });
    expect(Object.getPrototypeOf(question)).toBeNull();
  });

  test('resolves a real name', async () => {
    await expect(resolveHost('localhost', options({ family: 4 }))).resolves.toEqual([
      { address: '127.0.0.1', family: 4 },
    ]);
  });

  test.each([
    {
      name: 'a list',
      answer: [
        [
          { address: '::1', family: 6 },
          { address: '127.0.0.1', family: 4 },
        ],
      ],
      want: ['::1', '127.0.0.1'],
    },
    { name: 'one address and its family', answer: ['127.0.0.1', 4], want: ['127.0.0.1'] },
    {
      name: 'a list of strings, as dns.resolve4 gives it',
      answer: [['192.0.2.1', '192.0.2.2']],
      want: ['192.0.2.1', '192.0.2.2'],
    },
    { name: 'one entry', answer: [{ address: '::1', family: 6 }], want: ['::1'] },
  ])('takes from a hook $name', async ({ answer, want }) => {
    const addresses = await resolveHost('a.test', options({ lookup: answering(...answer) }));
    expect(addresses.map(({ address }) => address)).toEqual(want);
  });

  test('takes dns.lookup itself as a hook', async () => {
    const addresses = await resolveHost('127.0.0.1', options({ lookup: dns.lookup }));
    expect(addresses).toEqual([{ address: '127.0.0.1', family: 4 }]);
  });

  test('reads the family off the literal, not off what the hook says', async () => {
    const lookup = answering([{ address: '::1', family: 4 }]);
    await expect(resolveHost('a.test', options({ lookup }))).resolves.toEqual([{ address: '::1', family: 6 }]);
    await expect(resolveHost('a.test', options({ lookup, family: 4 }))).rejects.toThrow('No IPv4 address for a.test');
  });

  test('says that an IP literal is not of the family wanted', async () => {
    await expect(resolveHost('127.0.0.1', options({ family: 6 }))).rejects.toThrow('No IPv6 address for 127.0.0.1');
  });

  const broken = new Error('no such host');
  test.each<{ name: string; lookup: LookupFunction }>([
    { name: 'answers with an error', lookup: (_host, _options, callback) => void callback(broken, []) },
    {
      name: 'throws',
      lookup: () => {
        throw broken;
      },
    },
    { name: 'is an async function that throws', lookup: () => Promise.reject(broken) },
  ])('fails when the hook $name', async ({ lookup }) => {
    await expect(resolveHost('a.test', options({ lookup }))).rejects.toMatchObject({
      name: 'ResolveError',
      kind: 'failed',
      message: 'no such host',
      cause: broken,
    });
  });

  test('fails when the hook throws what is no error', async () => {
    const lookup: LookupFunction = () => Promise.reject('odd');
    await expect(resolveHost('a.test', options({ lookup }))).rejects.toMatchObject({
      message: 'The lookup of a.test failed',
      cause: 'odd',
    });
  });

  test('hears the first answer of a hook only', async () => {
    const lookup: LookupFunction = (_host, _options, callback) => {
      callback(null, '127.0.0.1', 4);
      callback(null, '127.0.0.2', 4);
      callback(new Error('after all'), []);
    };
    await expect(resolveHost('a.test', options({ lookup }))).resolves.toEqual([{ address: '127.0.0.1', family: 4 }]);
  });

  test('ends at the deadline, ignores the answer that comes later, and leaves no timer', async () => {
    vi.useFakeTimers();
    try {
      let answer = () => {};
      const lookup: LookupFunction = (_host, _options, callback) => {
        answer = () => callback(null, '127.0.0.1', 4);
      };
      const promise = resolveHost('a.test', options({ lookup, deadlineMs: performance.now() + 500 }));
      const settled = expect(promise).rejects.toMatchObject({ name: 'ResolveError', kind: 'timeout' });
      vi.advanceTimersByTime(500);
      answer();
      await settled;
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test('ends with the reason of the signal, and leaves no listener on it', async () => {
    const abort = new AbortController();
    const added = vi.spyOn(abort.signal, 'addEventListener');
    const removed = vi.spyOn(abort.signal, 'removeEventListener');
    const promise = resolveHost('a.test', options({ lookup: () => {}, signal: abort.signal }));
    abort.abort('enough');
    await expect(promise).rejects.toBe('enough');
    expect(removed.mock.calls).toEqual([['abort', added.mock.calls[0]?.[1]]]);
  });

  test.each([
    ['', 'empty'],
    ['.', 'empty'],
    ['[::1]', 'ASCII form'],
    ['::1%', 'ASCII form'],
    ['b\u00fccher.test', 'ASCII form'],
    ['a..test', 'a label of a DNS name must not be empty'],
    [`${'a'.repeat(64)}.test`, '63'],
    [`${'a.'.repeat(126)}aa`, '253'],
    ['127.1', 'four decimal numbers'],
    ['0x7f000001', 'four decimal numbers'],
    ['0177.0.0.1', 'four decimal numbers'],
    ['2130706433', 'four decimal numbers'],
    ['0', 'four decimal numbers'],
    ['127.0.0.1.', 'four decimal numbers'],
  ])('refuses the host %j before anything is asked', async (host, detail) => {
    const lookup = vi.fn();
    const promise = resolveHost(host, options({ lookup }));
    await expect(promise).rejects.toThrow(LocationParseError);
    await expect(promise).rejects.toThrow(detail);
    expect(lookup).not.toHaveBeenCalled();
  });

  test.each([`${'a'.repeat(63)}.test`, `${'a.'.repeat(126)}a.`, '_srv.a-b.test', '1.example', '0x1.example'])(
    'takes the host %s',
    async (host) => {
      await expect(resolveHost(host, options({ lookup: answering('192.0.2.1', 4) }))).resolves.toHaveLength(1);
    },
  );

  test('refuses a host that is no string', async () => {
    // @ts-expect-error: what callers without types can do
    await expect(resolveHost(42, options())).rejects.toThrow('Cannot use host 42: it must be a string');
  });
});
