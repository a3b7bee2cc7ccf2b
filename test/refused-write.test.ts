/** A connection that was gone before the request was written: no byte of it has left, so that any method may be sent again. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { HTTPConnectionPool } from '../src/connectionpool.js';

/** In another thread, so that it can reset a connection while this one is blocked, and no event of it has come here. */
const SERVER = `
  const { parentPort, workerData } = require('node:worker_threads');
  const seen = [];
  let connections = 0;
  const server = require('node:net').createServer((socket) => {
    const id = connections++;
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      seen.push(id + ' ' + bytes.toString().split(' ')[0]);
      socket.write('HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok');
      if (id > 0) return;
      setTimeout(() => {
        socket.once('close', () => {
          Atomics.store(workerData, 0, 1);
          Atomics.notify(workerData, 0);
        });
        socket.resetAndDestroy();
      }, 5);
    });
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));
  parentPort.on('message', () => parentPort.postMessage(seen));`;

test.each(['POST', 'PATCH', 'GET'])(
  'urlopen() sends %s again, at no cost to the retries, where the system has refused to write it',
  async (method) => {
    const isReset = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(SERVER, { eval: true, workerData: isReset });
    const [port]: unknown[] = await once(worker, 'message');
    if (typeof port !== 'number') throw new Error('the worker tells its port');
    await using pool = new HTTPConnectionPool('127.0.0.1', { port, retries: false });
    await pool.request('GET', '/');
    Atomics.wait(isReset, 0, 0);
    const response = await pool.request(method, '/', method === 'GET' ? {} : { body: 'once' });
    expect(response.status).toBe(200);
    worker.postMessage('what came?');
    expect((await once(worker, 'message'))[0]).toEqual(['0 GET', `1 ${method}`]);
    await worker.terminate();
  },
);
