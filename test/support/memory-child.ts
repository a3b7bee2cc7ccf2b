/**
 * A client in a process of its own, whose memory is watched: `memory-child.ts <url> <folder> <job>...`.
 *
 * It makes one small request of each kind first, so that what is measured is growth. It prints one line of JSON.
 */
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { DecodeError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import type { RequestOptions } from '../../src/request.js';

export interface MemoryReport {
  /** Peak of the resident set over that before the jobs, in MiB. */
  readonly grownMiB: number;
  /** What each job has to say. */
  readonly outcomes: readonly unknown[];
}

const MiB = 1_048_576;
const [url = '', folder = '', ...jobs] = process.argv.slice(2);
const http = new PoolManager({ timeout: 60, retries: false });

/** How the server says that it got it: its length. */
async function upload(options: RequestOptions): Promise<unknown> {
  return (await http.request('POST', `${url}/upload`, options)).data.toString();
}

async function stopped(path: string, options: RequestOptions): Promise<unknown> {
  try {
    const response = await http.request('GET', `${url}${path}`, options);
    let count = 0;
    for await (const piece of response) count += piece.length;
    return `decoded ${count} bytes`;
  } catch (error) {
    return error instanceof DecodeError ? 'DecodeError' : String(error);
  }
}

async function withFile(send: (file: Awaited<ReturnType<typeof open>>) => Promise<unknown>): Promise<unknown> {
  const file = await open(join(folder, 'large'));
  try {
    return await send(file);
  } finally {
    await file.close();
  }
}

const LIMITS = { maxDecodedSize: 12 * MiB };
const JOBS: Readonly<Record<string, () => Promise<unknown>>> = {
  'multipart with a file': () => withFile((file) => upload({ fields: { note: 'x', file: ['large', file] } })),
  'multipart with a stream': () => upload({ fields: { file: ['large', createReadStream(join(folder, 'large'))] } }),
  'a file': () => withFile((body) => upload({ body })),
  'a stream': () => upload({ body: createReadStream(join(folder, 'large')) }),
  'saveTo() a file': async () => {
    const response = await http.request('GET', `${url}/large`, { preloadContent: false });
    return await response.saveTo(join(folder, 'saved'));
  },
  'a slow reader': async () => {
    const response = await http.request('GET', `${url}/large`, { preloadContent: false });
    let count = 0;
    for await (const piece of response.toReadable()) {
      count += piece.length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return count;
  },
  'gzip, decoded as it comes': async () => {
    const response = await http.request('GET', `${url}/zeros`, { preloadContent: false });
    return await response.saveTo(join(folder, 'saved'));
  },
  'bomb, preloaded': () => stopped('/bomb', LIMITS),
  'bomb, streamed': () => stopped('/bomb', { ...LIMITS, preloadContent: false }),
  'bomb, by its ratio': () => stopped('/bomb', { maxRatio: 50 }),
  'chained bomb, preloaded': () => stopped('/chained', LIMITS),
  'chained bomb, streamed': () => stopped('/chained', { ...LIMITS, preloadContent: false }),
  'chained bomb, by its ratio': () => stopped('/chained', { maxRatio: 50, preloadContent: false }),
};

await http.request('POST', `${url}/upload`, { fields: { a: ['b', new Blob(['x'])] } });
await stopped('/small', LIMITS);
const before = process.memoryUsage.rss();
let peak = before;
const watch = setInterval(() => {
  peak = Math.max(peak, process.memoryUsage.rss());
}, 5);
const outcomes: unknown[] = [];
for (const job of jobs) outcomes.push(await JOBS[job]?.());
clearInterval(watch);
// The system's own peak has what came and went between two looks; it counts from the start of the process.
peak = Math.max(peak, process.resourceUsage().maxRSS * 1_024);
const report: MemoryReport = { grownMiB: Math.round((peak - before) / MiB), outcomes };
process.stdout.write(JSON.stringify(report));
http.clear();
