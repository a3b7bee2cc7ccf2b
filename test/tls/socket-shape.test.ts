import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';
import { expect, test } from 'vitest';
import { VerifiedHTTPSConnection } from '../../src/connection.js';
import { authority } from '../support/authority.js';
import { watchHandles } from '../support/leaks.js';
import { tlsPeer } from '../support/peer.js';

watchHandles();

test('secured() leaves a socket whose properties V8 looks up by its shape, not in a table', async () => {
  const ca = await authority();
  await using server = await tlsPeer(await ca.issue('127.0.0.1'), async ({ closed }) => await closed);
  const connection = new VerifiedHTTPSConnection('127.0.0.1', { port: server.port, caCerts: ca.cert });
  try {
    await connection.connect();
    expect(hasFastProperties()(connection.socket)).toBe(true);
    const table = { gone: 1, stays: 1 };
    Reflect.deleteProperty(table, 'gone');
    expect(hasFastProperties()(table)).toBe(false);
  } finally {
    connection.close();
  }
});

/** What V8 tells of an object under a flag that is set for the making of this function only. */
function hasFastProperties(): (value: unknown) => unknown {
  setFlagsFromString('--allow-natives-syntax');
  try {
    const read: unknown = runInThisContext('(value) => %HasFastProperties(value)');
    if (typeof read !== 'function') throw new TypeError('V8 gave no function');
    const ask = (value: unknown): unknown => Reflect.apply(read, undefined, [value]);
    // Compiled as it is first called, which has to be under the flag.
    ask({});
    return ask;
  } finally {
    setFlagsFromString('--no-allow-natives-syntax');
  }
}
