/**
 * The Node server, in a process of its own: the doors for files, which are used only where nginx is missing, and the sink.
 *
 * It is given the certificate as JSON in its first argument, listens on free ports of loopback, and prints the origins of its
 * doors as one line of JSON. It ends when its standard input does, so that it never outlives the process that started it.
 */
import { constants } from 'node:crypto';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions, type Server as TlsServer } from 'node:https';
import { WARM_UP_BYTES } from '../scenarios.js';
import type { Certificates } from './certificate.js';
import { contents } from './contents.js';
import type { NodeDoors } from './doors.js';

/** Certificates and size of the large file, from start.ts of the same build: their shape is that of the types. */
const given: { readonly certificates: Certificates; readonly largeBytes: number } = JSON.parse(
  process.argv[2] ?? 'null',
);

const LARGE_CHUNK = Buffer.alloc(64 * 1024, '0123456789abcdef');
const FILES = contents();

const sink = createServer(answerSink);
const waiting: ServerResponse[] = [];
const { ec, rsa } = given.certificates;
const unresumable: ServerOptions = { ...ec, secureOptions: constants.SSL_OP_NO_TICKET };
const doors: NodeDoors = {
  http: `http://${await listen(createServer(answerFile))}`,
  https: `https://${await listen(createTlsServer(ec, answerFile))}`,
  'https-rsa': `https://${await listen(createTlsServer(rsa, answerFile))}`,
  'https-unresumable': `https://${await listen(createTlsServer(unresumable, answerFile))}`,
  sink: `http://${await listen(sink)}`,
};
process.stdin.on('end', () => process.exit()).resume();
process.stdout.write(`${JSON.stringify(doors)}\n`);

function listen(server: Server | TlsServer): Promise<string> {
  server.keepAliveTimeout = 0;
  server.requestTimeout = 0;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('Cannot tell the port of the server'));
      else resolve(`127.0.0.1:${address.port}`);
    });
  });
}

function answerFile(request: IncomingMessage, response: ServerResponse): void {
  // From a proxy that passes on what it gets, the target may be in absolute form.
  const path = request.url?.replace(/^http:\/\/[^/]*/, '');
  switch (path) {
    case '/fresh/small.json':
      response.setHeader('Connection', 'close');
      return answer(response, FILES.small);
    case '/small.json':
      return answer(response, FILES.small);
    case '/medium.bin':
      return answer(response, FILES.medium);
    case '/list.json': {
      const gzip = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
      if (gzip) response.setHeader('Content-Encoding', 'gzip');
      return answer(response, gzip ? FILES.listGzip : FILES.list);
    }
    case '/warm-up.bin':
      return pour(response, WARM_UP_BYTES);
    case '/large.bin':
      return pour(response, given.largeBytes);
    default:
      response.writeHead(404).end();
  }
}

function answer(response: ServerResponse, content: Buffer): void {
  response.setHeader('Content-Length', content.length);
  response.end(content);
}

/** Writes `sizeBytes` bytes as fast as the peer takes them. */
function pour(response: ServerResponse, sizeBytes: number): void {
  let left = sizeBytes;
  response.setHeader('Content-Length', sizeBytes);
  const more = () => {
    while (left > 0) {
      const chunk = left < LARGE_CHUNK.length ? LARGE_CHUNK.subarray(0, left) : LARGE_CHUNK;
      left -= chunk.length;
      if (!response.write(chunk)) return;
    }
    response.off('drain', more);
    response.end();
  };
  response.on('drain', more);
  more();
}

/** `/upload` counts, `/gate/N` answers when N are waiting, `/connections` tells how many sockets are open. */
function answerSink(...[request, response]: Parameters<RequestListener>): void {
  const gate = /^\/gate\/(\d+)$/.exec(request.url ?? '')?.[1];
  if (gate !== undefined) {
    request.resume();
    passGate(response, Number(gate));
  } else if (request.url === '/connections') {
    sink.getConnections((_error, count) => answer(response, Buffer.from(String(count))));
  } else {
    let received = 0;
    request.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    request.on('end', () => answer(response, Buffer.from(String(received))));
  }
}

function passGate(response: ServerResponse, wanted: number): void {
  waiting.push(response);
  response.once('close', () => {
    const place = waiting.indexOf(response);
    if (place >= 0) waiting.splice(place, 1);
  });
  if (waiting.length < wanted) return;
  for (const held of waiting.splice(0)) answer(held, FILES.small);
}
