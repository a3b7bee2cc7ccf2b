/**
 * This project's own client, from the built `dist/`, through the class that its users are told to use.
 */
import type { Readable } from 'node:stream';
import { expectOk, type OpenSession } from './client.js';
import { countBytes, loadPeer } from './peer.js';
import { nodeStream } from './source.js';

interface Response {
  readonly status: number;
  readonly data: Buffer;
  stream(chunkBytes: number): AsyncIterable<Uint8Array>;
}

interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readable;
  readonly preloadContent?: boolean;
}

interface ManagerOptions {
  readonly maxsize: number;
  readonly caCerts: string;
}

interface Manager {
  request(method: string, url: string, options?: RequestOptions): Promise<Response>;
  close(): Promise<void> | void;
}

interface Library {
  readonly PoolManager: new (options: ManagerOptions) => Manager;
  readonly ProxyManager: new (proxyUrl: string, options: ManagerOptions) => Manager;
}

const CHUNK_BYTES = 64 * 1024;

export const open: OpenSession = async ({ proxy, origin, connections, ca, gzip, library }) => {
  const { PoolManager, ProxyManager } = await loadPeer<Library>(library);
  const managed = { maxsize: connections, caCerts: ca };
  const http = proxy === null ? new PoolManager(managed) : new ProxyManager(proxy.url, managed);
  const options: RequestOptions = gzip ? { headers: { 'accept-encoding': 'gzip' } } : {};
  return {
    async get(path) {
      const response = await http.request('GET', origin + path, options);
      expectOk(response.status);
      return response.data.length;
    },
    async download(path) {
      const response = await http.request('GET', origin + path, { preloadContent: false });
      expectOk(response.status);
      return await countBytes(response.stream(CHUNK_BYTES));
    },
    async upload(path, sizeBytes) {
      const headers = { 'content-length': String(sizeBytes) };
      const response = await http.request('POST', origin + path, { headers, body: nodeStream(sizeBytes) });
      expectOk(response.status);
      return Number(response.data.toString());
    },
    async close() {
      await http.close();
    },
  };
};
