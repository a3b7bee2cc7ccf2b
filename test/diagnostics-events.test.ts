/** The events of diagnostics.ts, as the engine publishes them while it makes requests over sockets. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HTTPConnectionPool } from '../src/connectionpool.js';
import * as channels from '../src/diagnostics.js';
import { PoolManager } from '../src/poolmanager.js';
import { Retry } from '../src/util/retry.js';
import { answer, faultyServer } from './faults/peer.js';
import { testCertificate } from './pool-peers.js';
import { watchHandles } from './support/leaks.js';

watchHandles();

/** An event with the name of its channel. */
type Told = { readonly on: string } & Record<string, unknown>;

let events: Told[] = [];
const { requestStart, requestHead, requestEnd, requestError } = channels;
const { connectionOpen, connectionReuse, connectionClose, retry, redirect } = channels;
const ALL = [
  ...[requestStart, requestHead, requestEnd, requestError, retry, redirect],
  ...[connectionOpen, connectionReuse, connectionClose],
];
const listeners = ALL.map(({ name }) => (event: object) => {
  events.push({ on: name.replace('urllib3:', ''), ...event });
});
beforeEach(() => {
  events = [];
  for (const [index, channel] of ALL.entries()) channel.subscribe(listeners[index] ?? expect.fail());
});
afterEach(() => {
  for (const [index, channel] of ALL.entries()) channel.unsubscribe(listeners[index] ?? expect.fail());
});

function names(): string[] {
  return events.map(({ on }) => on);
}

function of(name: string): Told[] {
  return events.filter(({ on }) => on === name);
}

test('a request: start, connection, head, end; the next one on the same connection', async () => {
  await using server = await faultyServer(() => ({ write: answer(200, 'hello'), after: 'go on' }));
  const pool = new HTTPConnectionPool('127.0.0.1', { port: server.port });
  for (const path of ['/a?token=s3cret', '/b']) await pool.request('GET', path);
  pool.close();
  await server.until(({ openSockets }) => openSockets === 0);
  expect(names()).toEqual([
    ...['request:start', 'connection:open', 'request:head', 'request:end'],
    ...['request:start', 'connection:reuse', 'request:head', 'request:end'],
    'connection:close',
  ]);
  const subject = { method: 'GET', attempt: 1, pool: `HTTPConnectionPool(host='127.0.0.1', port=${server.port})` };
  const [start, next] = of('request:start');
  expect(start).toMatchObject({ ...subject, url: `${server.url}/a?token=***` });
  expect(next).toMatchObject({ ...subject, url: `${server.url}/b` });
  expect(Number(next?.requestId)).toBeGreaterThan(Number(start?.requestId));
  const [opened] = of('connection:open');
  const connectionId = opened?.connectionId;
  expect(opened).toMatchObject({ address: `127.0.0.1:${server.port}`, tls: null, duration: expect.any(Number) });
  for (const event of [...of('request:head'), ...of('request:end')]) {
    expect(event).toMatchObject({ connectionId, status: 200, duration: expect.any(Number) });
  }
  expect(of('connection:reuse')).toMatchObject([{ connectionId, exchanges: 1 }]);
  expect(of('connection:close')).toMatchObject([{ connectionId, exchanges: 2, address: `127.0.0.1:${server.port}` }]);
});

test('one request with a failure, a bad status and a redirect: one number, an attempt each', async () => {
  await using server = await faultyServer(({ index }) => {
    if (index === 0) return { after: 'end' };
    const answers = ['', answer(503, ''), answer(303, '', 'Location: /next\r\n'), answer(200, 'hello')];
    return { write: answers[index] ?? '', after: 'go on' };
  });
  await using http = new PoolManager({ retries: new Retry(5, { allowedMethods: null, statusForcelist: [503] }) });
  await http.request('PUT', `${server.url}/`, { body: 'x' });
  expect(new Set(of('request:start').map(({ requestId }) => requestId)).size).toBe(1);
  expect(of('request:start').map(({ attempt, method, url }) => [attempt, method, url])).toEqual([
    [1, 'PUT', `${server.url}/`],
    [2, 'PUT', `${server.url}/`],
    [3, 'PUT', `${server.url}/`],
    [4, 'GET', `${server.url}/next`],
  ]);
  expect(of('request:error')).toMatchObject([{ attempt: 1, error: { name: 'ProtocolError', phase: 'wait' } }]);
  expect(of('retry')).toMatchObject([
    { attempt: 1, error: { name: 'ProtocolError' }, status: null, delay: expect.any(Number) },
    { attempt: 2, error: null, status: 503, delay: expect.any(Number) },
  ]);
  expect(of('redirect')).toMatchObject([
    { attempt: 3, method: 'PUT', status: 303, location: `${server.url}/next`, nextMethod: 'GET' },
  ]);
  expect(of('request:head').map(({ attempt, status }) => [attempt, status])).toEqual([
    [2, 503],
    [3, 303],
    [4, 200],
  ]);
  expect(of('request:end').map(({ attempt }) => attempt)).toEqual([2, 3, 4]);
});

test('a connection that could not be made: an error without one, and none that opens', async () => {
  await using http = new PoolManager({ retries: false });
  const error = await http.request('GET', 'http://127.0.0.1:1/').catch((reason: unknown) => reason);
  expect(names()).toEqual(['request:start', 'request:error']);
  expect(of('request:error')[0]).toMatchObject({ connectionId: null, duration: expect.any(Number) });
  expect(of('request:error')[0]?.error).toBe(error);
});

test('a streamed response ends when it is read to its end, or given up', async () => {
  await using server = await faultyServer(() => ({ write: answer(200, 'hello'), after: 'go on' }));
  await using http = new PoolManager();
  for (const end of ['read', 'close'] as const) {
    events = [];
    const response = await http.request('GET', server.url, { preloadContent: false });
    await response[end]();
    expect(names().filter((name) => name.startsWith('request'))).toEqual([
      'request:start',
      'request:head',
      'request:end',
    ]);
  }
});

test('content that breaks while it is read is an error of its attempt', async () => {
  await using server = await faultyServer(() => ({
    write: 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello',
    after: 'end',
  }));
  await using http = new PoolManager();
  const response = await http.request('GET', server.url, { preloadContent: false });
  const error = await response.read().catch((reason: unknown) => reason);
  expect(names().at(-1)).toMatch(/request:error|connection:close/);
  expect(of('request:error')).toMatchObject([{ attempt: 1 }]);
  expect(of('request:error')[0]?.error).toBe(error);
  expect(of('request:end')).toEqual([]);
});

test('an abort is an error of its attempt, with the reason', async () => {
  const controller = new AbortController();
  await using server = await faultyServer(() => {
    controller.abort('enough');
    return { after: 'stall' };
  });
  await using http = new PoolManager();
  await http.request('GET', server.url, { signal: controller.signal }).catch(() => {});
  expect(of('request:error')).toMatchObject([{ error: 'enough' }]);
  expect(of('retry')).toEqual([]);
});

test('a connection over TLS says which version', async () => {
  const { key, cert } = await testCertificate();
  await using server = await faultyServer(() => ({ write: answer(200, ''), after: 'go on' }), { tls: { key, cert } });
  await using http = new PoolManager({ caCerts: cert });
  await http.request('GET', server.url);
  expect(of('connection:open')).toMatchObject([{ tls: 'TLSv1.3' }]);
});

describe('events', () => {
  test('are frozen, and have no pool, socket, header or body', async () => {
    await using server = await faultyServer(() => ({ write: answer(200, 'hello'), after: 'go on' }));
    await using http = new PoolManager();
    const seen: object[] = [];
    const listener = (event: object) => void seen.push(event);
    for (const channel of ALL) channel.subscribe(listener);
    await http.request('POST', `http://u:s3cret@127.0.0.1:${server.port}/?key=s3cret`, {
      body: 's3cret',
      headers: { Authorization: 's3cret' },
    });
    for (const channel of ALL) channel.unsubscribe(listener);
    expect(seen).toHaveLength(4);
    for (const event of seen) {
      expect(Object.isFrozen(event)).toBe(true);
      for (const value of Object.values(event)) expect(typeof value === 'object' ? value : null).toBeNull();
    }
    expect(JSON.stringify(seen)).not.toContain('s3cret');
  });
});
