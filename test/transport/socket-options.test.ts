import net from 'node:net';
import { describe, expect, test, vi } from 'vitest';
import {
  applySocketOptions,
  checkSocketOptions,
  IPPROTO_TCP,
  SO_KEEPALIVE,
  SOL_SOCKET,
  type SocketOption,
  TCP_KEEPIDLE,
  TCP_NODELAY,
} from '../../src/transport/socket-options.js';

const NO_DELAY: SocketOption = [IPPROTO_TCP, TCP_NODELAY, 1];
/** The system's own time; Windows has to be told one. */
const SYSTEM_MS = process.platform === 'win32' ? 7_200_000 : 0;
const KEEP_ALIVE: SocketOption = [SOL_SOCKET, SO_KEEPALIVE, 1];

test('the constants have the numbers that Python shows on Linux', () => {
  expect({ SOL_SOCKET, SO_KEEPALIVE, IPPROTO_TCP, TCP_NODELAY, TCP_KEEPIDLE }).toEqual({
    SOL_SOCKET: 1,
    SO_KEEPALIVE: 9,
    IPPROTO_TCP: 6,
    TCP_NODELAY: 1,
    TCP_KEEPIDLE: 4,
  });
});

describe('checkSocketOptions()', () => {
  test('gives good options back', () => {
    const options = [NO_DELAY, KEEP_ALIVE, [IPPROTO_TCP, TCP_KEEPIDLE, 60]];
    expect(checkSocketOptions(options)).toEqual(options);
    expect(checkSocketOptions([])).toEqual([]);
  });

  test.each([
    { options: null, error: TypeError, message: 'Cannot use socket options null: they must be an array' },
    { options: 'x', error: TypeError, message: 'Cannot use socket options "x"' },
    { options: [6], error: TypeError, message: 'Cannot use socket option 6: it must be [level, option, value]' },
    { options: [[6, 1]], error: TypeError, message: 'Cannot use socket option [6, 1]' },
    { options: [[6, 1, true]], error: TypeError, message: 'Cannot use socket option [6, 1, true]' },
    { options: [[6, 1, 0.5]], error: TypeError, message: 'Cannot use socket option [6, 1, 0.5]' },
    { options: [[1, 2, 1]], error: TypeError, message: 'Cannot set socket option [1, 2, 1]: Node supports only' },
    { options: [[6, 13, 1]], error: TypeError, message: 'Cannot set socket option [6, 13, 1]: Node supports only' },
    { options: [[0, 1, 1]], error: TypeError, message: 'Cannot set socket option [0, 1, 1]: Node supports only' },
    { options: [[6, 4, 60]], error: TypeError, message: 'Cannot use TCP_KEEPIDLE alone' },
    {
      options: [
        [1, 9, 1],
        [6, 4, 0],
      ],
      error: RangeError,
      message: 'Cannot use TCP_KEEPIDLE 0: it must be seconds from 1',
    },
    {
      options: [
        [1, 9, 1],
        [6, 4, 32_768],
      ],
      error: RangeError,
      message: 'Cannot use TCP_KEEPIDLE 32768',
    },
  ])('refuses $options', ({ options, error, message }) => {
    expect(() => checkSocketOptions(options)).toThrow(error);
    expect(() => checkSocketOptions(options)).toThrow(message);
  });
});

describe('applySocketOptions()', () => {
  test.each<{ options: SocketOption[]; noDelay: unknown[][]; keepAlive: unknown[][] }>([
    { options: [], noDelay: [], keepAlive: [] },
    { options: [NO_DELAY], noDelay: [[true]], keepAlive: [] },
    { options: [NO_DELAY, [IPPROTO_TCP, TCP_NODELAY, 0]], noDelay: [[false]], keepAlive: [] },
    { options: [KEEP_ALIVE], noDelay: [], keepAlive: [[true, SYSTEM_MS]] },
    { options: [[IPPROTO_TCP, TCP_KEEPIDLE, 60], KEEP_ALIVE], noDelay: [], keepAlive: [[true, 60_000]] },
    { options: [[SOL_SOCKET, SO_KEEPALIVE, 0]], noDelay: [], keepAlive: [[false, SYSTEM_MS]] },
  ])('sets $options', ({ options, noDelay, keepAlive }) => {
    const socket = new net.Socket();
    const setNoDelay = vi.spyOn(socket, 'setNoDelay');
    const setKeepAlive = vi.spyOn(socket, 'setKeepAlive');
    applySocketOptions(socket, options);
    expect(setNoDelay.mock.calls).toEqual(noDelay);
    expect(setKeepAlive.mock.calls).toEqual(keepAlive);
  });
});
