/**
 * What a process takes for content that is much larger than it may grow: clients in processes of their own
 * (support/memory-child.ts) against a server here. 256 MiB stand for any size: what is held whole would show.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { MemoryReport } from './support/memory-child.js';
import { portOf } from './support/peer.js';

const MiB = 1_048_576;
const SIZE = 256 * MiB;

/** Members of 16 MiB of zeros: 256 MiB of them, and 10 GiB. */
const MEMBER = gzipSync(Buffer.alloc(16 * MiB));
const ZEROS = Buffer.alloc(16 * MEMBER.length, MEMBER);
const BOMB = Buffer.alloc(640 * MEMBER.length, MEMBER);
const CHAINED = [1, 2, 3, 4].reduce((inner) => gzipSync(inner), BOMB);

const CONTENT: Readonly<Record<string, { readonly coding: string; readonly bytes: Buffer }>> = {
  '/small': { coding: 'gzip', bytes: gzipSync('small') },
  '/zeros': { coding: 'gzip', bytes: ZEROS },
  '/bomb': { coding: 'gzip', bytes: BOMB },
  '/chained': { coding: 'gzip, gzip, gzip, gzip, gzip', bytes: CHAINED },
};

let server: Server;
let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'memory-'));
  const file = await open(join(folder, 'large'), 'w');
  // Without blocks on the disk.
  await file.truncate(SIZE);
  await file.close();
  server = createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

/** Content in a coding, 256 MiB of it, or how much was sent. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const content = CONTENT[request.url ?? ''];
  if (content !== undefined) {
    response.writeHead(200, { 'Content-Encoding': content.coding, 'Content-Length': content.bytes.length });
    response.end(content.bytes);
  } else if (request.url === '/large') {
    response.writeHead(200, { 'Content-Length': SIZE });
    const piece = Buffer.alloc(MiB);
    Readable.from(Array.from({ length: SIZE / MiB }, () => piece)).pipe(response);
  } else {
    let count = 0;
    request.on('data', (piece: Buffer) => {
      count += piece.length;
    });
    request.on('end', () => response.end(String(count)));
  }
}

async function run(jobs: readonly string[]): Promise<MemoryReport> {
  const child = fileURLToPath(new URL('support/memory-child.ts', import.meta.url));
  const args = ['--import', 'tsx', child, `http://127.0.0.1:${portOf(server)}`, folder, ...jobs];
  const { stdout } = await promisify(execFile)(process.execPath, args, { env: { ...process.env, NODE_OPTIONS: '' } });
  // What the child wrote there.
  return JSON.parse(stdout) as MemoryReport;
}

describe('256 MiB through a process that grows by less than 100 MiB', () => {
  test.each([[['multipart with a file']], [['multipart with a stream']], [['a file', 'a stream']]])(
    'request() streams %j',
    async (jobs) => {
      const { grownMiB, outcomes } = await run(jobs);
      for (const outcome of outcomes) expect(Number(outcome)).toBeGreaterThanOrEqual(SIZE);
      expect(outcomes).toHaveLength(jobs.length);
      expect(grownMiB).toBeLessThan(100);
    },
  );

  test.each([[['saveTo() a file']], [['a slow reader', 'gzip, decoded as it comes']]])(
    'HTTPResponse gives %j',
    async (jobs) => {
      const { grownMiB, outcomes } = await run(jobs);
      expect(outcomes).toEqual(jobs.map(() => SIZE));
      expect((await stat(join(folder, 'saved'))).size).toBe(SIZE);
      expect(grownMiB).toBeLessThan(100);
    },
  );
});

describe('SEC-100 (CVE-2025-69223, CVE-2025-66471): 10 GiB from 10 MiB or from five layers are stopped within 64 MiB', () => {
  test.each(['bomb', 'chained bomb'])('%s, preloaded, streamed, and by its ratio', async (bomb) => {
    const { grownMiB, outcomes } = await run([`${bomb}, preloaded`, `${bomb}, streamed`, `${bomb}, by its ratio`]);
    expect(outcomes).toEqual(['DecodeError', 'DecodeError', 'DecodeError']);
    expect(grownMiB).toBeLessThan(64);
  });
});
