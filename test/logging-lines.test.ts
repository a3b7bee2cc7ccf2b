/** The lines of the reference's loggers, as the engine writes them while it makes requests over sockets. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HTTPConnectionPool, HTTPSConnectionPool } from '../src/connectionpool.js';
import { addLogHandler, type LogHandler } from '../src/logging.js';
import { PoolManager } from '../src/poolmanager.js';
import { Retry } from '../src/util/retry.js';
import { answer, type FaultyServer, faultyServer } from './faults/peer.js';
import { testCertificate } from './pool-peers.js';
import { watchHandles } from './support/leaks.js';

watchHandles();

let lines: string[] = [];
let handler: LogHandler;
beforeEach(() => {
  lines = [];
  handler = addLogHandler({ write: ({ level, logger, message }) => void lines.push(`${level} ${logger} ${message}`) });
});
afterEach(() => handler.remove());

/** The lines so far, with PORT for that of the server. */
function said({ port }: FaultyServer): string[] {
  return lines.map((line) => line.replaceAll(String(port), 'PORT'));
}

const POOL = 'urllib3.connectionpool';
const RETRY = 'urllib3.util.retry';

test('a connection is started, each request has its line, and a kept connection starts none', async () => {
  await using server = await faultyServer(({ index }) => ({
    write: index === 0 ? answer(200, 'hello') : 'HTTP/1.0 404 No\r\n\r\n',
    after: index === 0 ? 'go on' : 'end',
  }));
  await using http = new PoolManager();
  await http.request('GET', `${server.url}/a?b=c&token=s3cret`);
  await http.request('POST', `${server.url}/d`, { body: 'x' });
  expect(said(server)).toEqual([
    `debug ${POOL} Starting new HTTP connection (1): 127.0.0.1:PORT`,
    `debug ${POOL} http://127.0.0.1:PORT "GET /a?b=c&token=*** HTTP/1.1" 200 5`,
    // Its length is not announced: it ends with the connection.
    `debug ${POOL} http://127.0.0.1:PORT "POST /d HTTP/1.0" 404 null`,
  ]);
});

test('connections are counted, and https is named', async () => {
  const { key, cert } = await testCertificate();
  await using server = await faultyServer(() => ({ write: answer(200, '', 'Connection: close\r\n'), after: 'end' }), {
    tls: { key, cert },
  });
  await using pool = new HTTPSConnectionPool('127.0.0.1', { port: server.port, caCerts: cert });
  for (let count = 0; count < 2; count++) await pool.request('GET', '/');
  expect(said(server)).toEqual([
    `debug ${POOL} Starting new HTTPS connection (1): 127.0.0.1:PORT`,
    `debug ${POOL} https://127.0.0.1:PORT "GET / HTTP/1.1" 200 0`,
    `debug ${POOL} Starting new HTTPS connection (2): 127.0.0.1:PORT`,
    `debug ${POOL} https://127.0.0.1:PORT "GET / HTTP/1.1" 200 0`,
  ]);
});

test('a connection that its server has dropped is reset', async () => {
  await using server = await faultyServer(({ index }) =>
    index === 1 ? { after: 'reset' } : { write: answer(200, ''), after: 'go on' },
  );
  await using pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
  for (let count = 0; count < 2; count++) await pool.request('GET', '/');
  expect(said(server)).toEqual([
    `debug ${POOL} Starting new HTTP connection (1): 127.0.0.1:PORT`,
    `debug ${POOL} http://127.0.0.1:PORT "GET / HTTP/1.1" 200 0`,
    `debug ${POOL} Resetting dropped connection: 127.0.0.1`,
    `debug ${POOL} Starting new HTTP connection (2): 127.0.0.1:PORT`,
    `debug ${POOL} http://127.0.0.1:PORT "GET / HTTP/1.1" 200 0`,
  ]);
});

test('a pool that is full says what it discards', async () => {
  await using server = await faultyServer(() => ({ write: answer(200, ''), after: 'go on' }));
  await using pool = new HTTPConnectionPool('127.0.0.1', { port: server.port, maxsize: 1 });
  await Promise.all([pool.request('GET', '/'), pool.request('GET', '/')]);
  expect(said(server).filter((line) => line.startsWith('warning'))).toEqual([
    `warning ${POOL} Connection pool is full, discarding connection: 127.0.0.1. Connection pool size: 1`,
  ]);
});

const spent = (total: number, counts = '') =>
  `Retry(total=${total}, ${counts === '' ? 'connect=null, read=null, redirect=null, status=null' : counts})`;

test('a failure is a warning, with what is left of the retries', async () => {
  await using server = await faultyServer(({ index }) =>
    index === 0 ? { after: 'end' } : { write: answer(200, ''), after: 'go on' },
  );
  await using pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
  await pool.request('GET', '/a');
  expect(said(server).slice(1, 3)).toEqual([
    `debug ${RETRY} Incremented Retry for (url='/a'): ${spent(2)}`,
    expect.stringMatching(
      /^warning urllib3\.connectionpool Retrying \(Retry\(total=2, .*\)\) after connection broken by 'ProtocolError: .*': \/a$/,
    ),
  ]);
});

test('a number of retries says what it became, and a redirect within a pool is told to those who debug', async () => {
  await using server = await faultyServer(({ index }) => ({
    write: index === 0 ? answer(301, '', 'Location: /b\r\n') : answer(200, ''),
    after: 'go on',
  }));
  await using pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
  await pool.request('GET', '/a', { retries: 3 });
  expect(said(server)[0]).toBe(`debug ${RETRY} Converted retries value: 3 -> ${spent(3)}`);
  expect(said(server)).toContain(`debug ${POOL} Redirecting http://127.0.0.1:PORT/a -> http://127.0.0.1:PORT/b`);
});

test('a status that is retried, and a redirect, each say so', async () => {
  const answers = [answer(503, ''), answer(302, '', 'Location: /b?api_key=s3cret\r\n'), answer(200, '')];
  await using server = await faultyServer(({ index }) => ({ write: answers[index] ?? '', after: 'go on' }));
  await using http = new PoolManager();
  const retries = new Retry({ total: 3, redirect: 1, status: 1, statusForcelist: [503] });
  await http.request('GET', `http://u:p@127.0.0.1:${server.port}/a`, { retries });
  expect(said(server)).toEqual([
    `debug ${POOL} Starting new HTTP connection (1): 127.0.0.1:PORT`,
    `debug ${POOL} http://127.0.0.1:PORT "GET /a HTTP/1.1" 503 0`,
    `debug ${RETRY} Incremented Retry for (url='/a'): ${spent(2, 'connect=null, read=null, redirect=1, status=0')}`,
    `debug ${POOL} Retry: /a`,
    `debug ${POOL} http://127.0.0.1:PORT "GET /a HTTP/1.1" 302 0`,
    `debug ${RETRY} Incremented Retry for (url='/a'): ${spent(1, 'connect=null, read=null, redirect=0, status=0')}`,
    expect.stringMatching(
      /^info urllib3\.poolmanager Redirecting http:\/\/(\*\*\*@)?127\.0\.0\.1:PORT\/a -> http:\/\/(\*\*\*@)?127\.0\.0\.1:PORT\/b\?api_key=\*\*\*$/,
    ),
    `debug ${POOL} http://127.0.0.1:PORT "GET /b?api_key=*** HTTP/1.1" 200 0`,
  ]);
});

describe('a level', () => {
  test('of warning leaves the debug lines out', async () => {
    handler.level = 'warning';
    await using server = await faultyServer(({ index }) =>
      index === 0 ? { after: 'end' } : { write: answer(200, ''), after: 'go on' },
    );
    await using pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
    await pool.request('GET', '/');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^warning .*Retrying/);
  });
});
