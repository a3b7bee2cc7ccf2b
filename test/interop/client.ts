/** The two ways to make a request, in one shape, so that each case runs through both. */
import { type ConnectionPoolKw, connectionFromUrl } from '../../src/connectionpool.js';
import { PoolManager } from '../../src/poolmanager.js';
import type { RequestOptions } from '../../src/request.js';
import type { HTTPResponse } from '../../src/response.js';

/** Makes requests to one origin. */
export interface Client extends AsyncDisposable {
  request(method: string, path: string, options?: RequestOptions): Promise<HTTPResponse>;
}

export type MakeClient = (origin: string, options?: ConnectionPoolKw) => Client;

export const managerClient: MakeClient = (origin, options = {}) => {
  const http = new PoolManager(options);
  return {
    request: (method, path, given) => http.request(method, origin + path, given),
    [Symbol.asyncDispose]: async () => http.clear(),
  };
};

export const poolClient: MakeClient = (origin, options = {}) => {
  const pool = connectionFromUrl(origin, options);
  return {
    request: (method, path, given) => pool.request(method, path, given),
    [Symbol.asyncDispose]: async () => pool.close(),
  };
};

export const CLIENTS: readonly { readonly client: string; readonly make: MakeClient }[] = [
  { client: 'PoolManager', make: managerClient },
  { client: 'HTTPConnectionPool', make: poolClient },
];

/** Each client, once with content in memory and once with content as it comes. */
export const WAYS = CLIENTS.flatMap(({ client, make }) =>
  [true, false].map((preloadContent) => ({
    way: `${client}, ${preloadContent ? 'preloaded' : 'streamed'}`,
    make,
    preloadContent,
  })),
);

/** The whole content, by whichever way the request asked for. */
export async function contentOf(response: HTTPResponse, preloadContent: boolean): Promise<Buffer> {
  if (preloadContent) return response.data;
  const pieces: Buffer[] = [];
  for await (const piece of response.stream(16_384)) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** Runs `task` for 0 to `count` - 1, so many at a time, and gives the results in order. */
export async function concurrently<T>(
  count: number,
  concurrency: number,
  task: (index: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < count; index = next++) results[index] = await task(index);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  return results;
}
