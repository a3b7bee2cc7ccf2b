import { afterEach, beforeEach, expect, type MockInstance, test, vi } from 'vitest';
import { HTTPWarning, InsecureRequestWarning, SecurityWarning } from '../src/exceptions.js';

let emitted: MockInstance<typeof process.emitWarning>;
beforeEach(() => {
  emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  // What is silenced is so for the rest of the process: each test takes a module of its own.
  vi.resetModules();
});
afterEach(() => void vi.restoreAllMocks());

test('warn() emits a process warning whose type is the name of its class', async () => {
  const { warn } = await import('../src/warnings.js');
  const warning = new InsecureRequestWarning('not verified');
  warn(warning);
  expect(emitted.mock.calls).toEqual([[warning]]);
  expect(warning.name).toBe('InsecureRequestWarning');
});

test('warn() warns on the console where there is no process, as in a browser', async () => {
  const { warn } = await import('../src/warnings.js');
  const written = vi.spyOn(console, 'warn').mockImplementation(() => {});
  vi.stubGlobal('process', undefined);
  try {
    warn(new InsecureRequestWarning('not verified'));
  } finally {
    vi.unstubAllGlobals();
  }
  expect(written.mock.calls).toEqual([['InsecureRequestWarning: not verified']]);
});

test('disableWarnings() silences a category and those that extend it', async () => {
  const { disableWarnings, warn } = await import('../src/warnings.js');
  const { HTTPWarning, InsecureRequestWarning, SecurityWarning } = await import('../src/exceptions.js');
  disableWarnings(SecurityWarning);
  warn(new InsecureRequestWarning('silent'));
  warn(new SecurityWarning('silent'));
  expect(emitted).not.toHaveBeenCalled();
  warn(new HTTPWarning('told'));
  expect(emitted).toHaveBeenCalledOnce();
});

test('disableWarnings() silences all without an argument', async () => {
  const { disableWarnings, warn } = await import('../src/warnings.js');
  const { HTTPWarning } = await import('../src/exceptions.js');
  disableWarnings();
  warn(new HTTPWarning('silent'));
  expect(emitted).not.toHaveBeenCalled();
});

test('InsecureRequestWarning is a SecurityWarning and an HTTPWarning', () => {
  const warning = new InsecureRequestWarning('');
  expect(warning).toBeInstanceOf(SecurityWarning);
  expect(warning).toBeInstanceOf(HTTPWarning);
});

test.each([null, 'InsecureRequestWarning', Error, () => {}])('disableWarnings() rejects %o', async (category) => {
  const { disableWarnings, warn } = await import('../src/warnings.js');
  // A caller without types.
  const call = () => disableWarnings(category as unknown as typeof HTTPWarning);
  expect(call).toThrow(TypeError);
  expect(call).toThrow(/^Cannot disable warnings of .+: it must be HTTPWarning or a class below it$/);
  warn(new HTTPWarning('told'));
  expect(emitted).toHaveBeenCalledOnce();
});
