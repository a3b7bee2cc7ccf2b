/**
 * Requests without a manager of one's own (2.x: `urllib3.request`): one manager serves the whole process.
 */
import { PoolManager } from './poolmanager.js';
import type { RequestOptions } from './request.js';
import type { HTTPResponse } from './response.js';

let sharedManager: PoolManager | null = null;

/**
 * Makes one request, with a manager that all callers of this function share.
 *
 * For more than a few requests, make a {@link PoolManager}: its pools, limits and defaults are then yours alone.
 *
 * @example
 * ```ts
 * const response = await request('GET', 'http://example.com/');
 * ```
 */
export async function request(method: string, url: string, options?: RequestOptions): Promise<HTTPResponse> {
  sharedManager ??= new PoolManager();
  return await sharedManager.request(method, url, options);
}
