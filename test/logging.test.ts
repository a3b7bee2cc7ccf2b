import { afterEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import {
  addLogHandler,
  addStderrLogger,
  type LogHandler,
  type LogHandlerOptions,
  type LogRecord,
  logger,
  setLogLevel,
} from '../src/logging.js';

const POOL = 'urllib3.connectionpool';

/** Handlers of a test, taken off after it. */
const added: LogHandler[] = [];
afterEach(() => {
  for (const handler of added.splice(0)) handler.remove();
  setLogLevel('debug');
  vi.restoreAllMocks();
});

function keep(handler: LogHandler): LogHandler {
  added.push(handler);
  return handler;
}

/** A handler that collects its records. */
function collecting(options: Omit<LogHandlerOptions, 'write'> = {}): LogRecord[] {
  const records: LogRecord[] = [];
  keep(addLogHandler({ ...options, write: (record) => records.push(record) }));
  return records;
}

/** Says one line of each level. */
function sayAll(): void {
  logger.debug(POOL, 'd');
  logger.info(POOL, 'i');
  logger.warning(POOL, 'w');
  logger.error(POOL, 'e');
}

function switches(): boolean[] {
  return [logger.isDebug, logger.isInfo, logger.isWarning, logger.isError];
}

function spyOnStderr(): MockInstance<typeof process.stderr.write> {
  return vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
}

function written(spy: MockInstance<typeof process.stderr.write>): string {
  return spy.mock.calls.map(([text]) => String(text)).join('');
}

test('addStderrLogger() minds neither a reader that has gone nor that there is no stderr', () => {
  let told: ((error?: Error | null) => void) | undefined;
  vi.spyOn(process.stderr, 'write').mockImplementation((...args: unknown[]) => {
    // Which of its forms is called is the subject of the test.
    told = args.at(-1) as typeof told;
    return true;
  });
  const before = process.stderr.listenerCount('error');
  const handler = addStderrLogger();
  try {
    told?.(null);
    expect(process.stderr.listenerCount('error')).toBe(before);
    told?.(new Error('EPIPE'));
    expect(process.stderr.emit('error', new Error('EPIPE'))).toBe(true);
    const onConsole = vi.spyOn(console, 'error').mockImplementation(() => {});
    vi.stubGlobal('process', undefined);
    logger.debug('urllib3', 'in a browser');
    expect(onConsole.mock.calls).toEqual([[expect.stringMatching(/ DEBUG in a browser$/)]]);
  } finally {
    vi.unstubAllGlobals();
    handler.remove();
  }
});

describe('logger', () => {
  test('is off until a handler is there, and says nothing then', () => {
    const stderr = spyOnStderr();
    expect(switches()).toEqual([false, false, false, false]);
    sayAll();
    expect(stderr).not.toHaveBeenCalled();
  });

  test.each([
    ['debug', [true, true, true, true], 'diwe'],
    ['info', [false, true, true, true], 'iwe'],
    ['warning', [false, false, true, true], 'we'],
    ['error', [false, false, false, true], 'e'],
  ] as const)('has its switches set by a handler of level %s, and gives it no less', (level, on, said) => {
    const records = collecting({ level });
    expect(switches()).toEqual(on);
    sayAll();
    expect(records.map(({ message }) => message).join('')).toBe(said);
  });

  test('serves several handlers, each at its level', () => {
    const [all, errors] = [collecting(), collecting({ level: 'error' })];
    sayAll();
    expect([all.length, errors.length]).toEqual([4, 1]);
  });

  test('gives frozen records with level, logger, message and time', () => {
    const records = collecting();
    const before = Date.now();
    logger.warning(POOL, 'Connection pool is full');
    const [record] = records;
    expect(record).toMatchObject({ level: 'warning', logger: POOL, message: 'Connection pool is full' });
    expect(record?.time.getTime()).toBeGreaterThanOrEqual(before);
    expect(Object.isFrozen(record)).toBe(true);
  });

  test('gives the line that is being written to all handlers, also when one takes itself off', () => {
    const seen: string[] = [];
    const first = keep(
      addLogHandler({
        write: ({ message }) => {
          seen.push(`first ${message}`);
          first.remove();
        },
      }),
    );
    keep(addLogHandler({ write: ({ message }) => seen.push(`second ${message}`) }));
    logger.debug(POOL, 'a');
    logger.debug(POOL, 'b');
    expect(seen).toEqual(['first a', 'second a', 'second b']);
  });

  test('SEC-118 (CVE-2026-42507, CVE-2025-58189): text of a peer cannot forge a line, act on a terminal or fill a disk', () => {
    const records = collecting();
    logger.debug(POOL, `reason OK\r\n2026-01-01 ERROR forged \x1b[31m\u202e\u2028${'x'.repeat(1_000_000)}`);
    const message = records[0]?.message ?? '';
    expect(message).toMatch(
      /^reason OK\\x0d\\x0a2026-01-01 ERROR forged \\x1b\[31m\\u202e\\u2028x+\.\.\. \(\d+ characters\)$/,
    );
    expect(message.length).toBeLessThan(5_000);
  });

  test('SEC-083 (CVE-2015-3448, CVE-2024-6104): user-info of a URL is not logged, whoever forgot to cut it', () => {
    const records = collecting();
    logger.info(POOL, 'Redirecting http://user:s3cret@a/ -> //user:s3cret@b/?next=https://u:s3cret@c/');
    expect(records[0]?.message).toBe('Redirecting http://***@a/ -> //***@b/?next=https://***@c/');
  });
});

describe('addLogHandler()', () => {
  test('calls write() as a method of its object', () => {
    const options = {
      lines: [] as string[],
      write(record: LogRecord) {
        this.lines.push(record.message);
      },
    };
    keep(addLogHandler(options));
    logger.error(POOL, 'x');
    expect(options.lines).toEqual(['x']);
  });

  test('warns once of a handler that throws, and the call goes on', () => {
    const emitted = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
    keep(
      addLogHandler({
        write() {
          throw new Error('disk full\n');
        },
      }),
    );
    const others = collecting();
    sayAll();
    expect(emitted).toHaveBeenCalledOnce();
    expect(emitted.mock.calls[0]?.[0]).toMatchObject({
      name: 'HTTPWarning',
      message: 'A log handler of urllib3 failed: Error: disk full\\x0a',
    });
    expect(others).toHaveLength(4);
  });

  test.each<[unknown, RegExp]>([
    [undefined, /^Cannot add log handler undefined: it must be an object with write\(\)$/],
    [null, /^Cannot add log handler null/],
    [{}, /^Cannot use write undefined of a log handler: it must be a function$/],
    [{ write: 'x' }, /^Cannot use write "x" of a log handler/],
  ])('rejects %o', (options, message) => {
    // A caller without types.
    const call = () => addLogHandler(options as LogHandlerOptions);
    expect(call).toThrow(TypeError);
    expect(call).toThrow(message);
    expect(logger.isError).toBe(false);
  });
});

describe('a handler', () => {
  test('has a level that can be changed, by name or by number of Python', () => {
    const records: LogRecord[] = [];
    const handler = keep(addLogHandler({ level: 20, write: (record) => records.push(record) }));
    expect(handler.level).toBe('info');
    handler.level = 'error';
    expect(switches()).toEqual([false, false, false, true]);
    handler.level = 10;
    expect([handler.level, logger.isDebug]).toEqual(['debug', true]);
  });

  test('is given nothing after remove() or close(), which may be called twice', () => {
    for (const end of ['remove', 'close'] as const) {
      const records: LogRecord[] = [];
      const handler = addLogHandler({ write: (record) => records.push(record) });
      handler[end]();
      handler[end]();
      handler.level = 'debug';
      sayAll();
      expect(records).toEqual([]);
      expect(switches()).toEqual([false, false, false, false]);
    }
  });

  test('ends with the block that uses it', () => {
    {
      using _handler = addLogHandler({ write: () => {} });
      expect(logger.isDebug).toBe(true);
    }
    expect(logger.isDebug).toBe(false);
  });

  test.each<[unknown, typeof RangeError | typeof TypeError, string]>([
    ['loud', RangeError, '"loud"'],
    ['DEBUG', RangeError, '"DEBUG"'],
    [15, RangeError, '15'],
    [Number.NaN, RangeError, 'NaN'],
    [null, TypeError, 'null'],
    [{}, TypeError, 'an object (Object)'],
  ])('has no level %o', (level, errorClass, shown) => {
    const wanted = `Cannot use log level ${shown}: it must be "debug", "info", "warning", "error", 10, 20, 30 or 40`;
    const handler = keep(addLogHandler({ write: () => {} }));
    // A caller without types.
    const bad = level as 'debug';
    const calls = [
      () => {
        handler.level = bad;
      },
      () => setLogLevel(bad),
      () => addStderrLogger(bad),
    ];
    for (const call of calls) {
      expect(call).toThrow(errorClass);
      expect(call).toThrow(wanted);
    }
    expect(handler.level).toBe('debug');
  });
});

describe('setLogLevel()', () => {
  test('is the least level of all handlers (reference, "Logging")', () => {
    const records = collecting();
    setLogLevel('warning');
    expect(switches()).toEqual([false, false, true, true]);
    sayAll();
    expect(records.map(({ level }) => level)).toEqual(['warning', 'error']);
    setLogLevel(10);
    expect(logger.isDebug).toBe(true);
  });
});

describe('addStderrLogger()', () => {
  test('writes lines as the reference formats them, and says first that it is there', () => {
    const stderr = spyOnStderr();
    vi.useFakeTimers({ now: new Date(2026, 0, 2, 3, 4, 5, 6) });
    try {
      keep(addStderrLogger());
      logger.warning(POOL, 'Connection pool is full');
    } finally {
      vi.useRealTimers();
    }
    expect(written(stderr)).toBe(
      '2026-01-02 03:04:05,006 DEBUG Added a stderr logging handler to logger: urllib3\n' +
        '2026-01-02 03:04:05,006 WARNING Connection pool is full\n',
    );
  });

  test('takes a level, and a line with % is written as it is', () => {
    const stderr = spyOnStderr();
    const handler = keep(addStderrLogger('info'));
    sayAll();
    logger.info(POOL, '100%s %o');
    expect(handler.level).toBe('info');
    expect(written(stderr)).toMatch(/^\S+ \S+ INFO i\n\S+ \S+ WARNING w\n\S+ \S+ ERROR e\n\S+ \S+ INFO 100%s %o\n$/);
  });

  test('lowers the level of the library to its own, as in the reference, and never raises it', () => {
    spyOnStderr();
    setLogLevel('error');
    keep(addStderrLogger('info'));
    expect(switches()).toEqual([false, true, true, true]);
    keep(addStderrLogger('error'));
    expect(logger.isInfo).toBe(true);
  });
});

describe('NODE_DEBUG=urllib3', () => {
  afterEach(() => {
    vi.doUnmock('node:util');
    vi.resetModules();
  });

  async function loggerWith(enabled: boolean): Promise<{ lines: unknown[][]; own: typeof logger }> {
    const lines: unknown[][] = [];
    const debug = Object.assign((...args: unknown[]) => lines.push(args), { enabled });
    vi.resetModules();
    vi.doMock('node:util', async (original) => ({ ...(await original<object>()), debuglog: () => debug }));
    const { logger: own } = await import('../src/logging.js');
    return { lines, own };
  }

  test('switches debug lines on, through util.debuglog', async () => {
    const { lines, own } = await loggerWith(true);
    expect(own.isDebug).toBe(true);
    own.debug(POOL, '100% of it');
    expect(lines).toEqual([['%s %s', 'DEBUG', '100% of it']]);
  });

  test('is off where it does not name us', async () => {
    const { own } = await loggerWith(false);
    expect(own.isError).toBe(false);
  });
});
