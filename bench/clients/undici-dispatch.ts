/** `Pool.dispatch` of undici: callbacks without streams, its fastest interface and the hardest to use. */
import { expectOk, type OpenSession } from './client.js';
import { nodeStream } from './source.js';
import {
  acceptHeaders,
  type Dispatcher,
  type DispatchOptions,
  decodedLength,
  dispatcherOptions,
  loadUndici,
} from './undici.js';

export const open: OpenSession = async (options) => {
  const { Pool } = await loadUndici();
  const { origin, gzip } = options;
  const pool = new Pool(origin, dispatcherOptions(options));
  const headers = acceptHeaders(gzip);
  return {
    async get(path) {
      return decodedLength(await collect(pool, { path, method: 'GET', headers }), gzip);
    },
    async download(path) {
      let bytes = 0;
      await dispatch(pool, { path, method: 'GET', headers }, (chunk) => {
        bytes += chunk.length;
      });
      return bytes;
    },
    async upload(path, sizeBytes) {
      const uploadHeaders = { 'content-length': String(sizeBytes) };
      const answer = await collect(pool, { path, method: 'POST', headers: uploadHeaders, body: nodeStream(sizeBytes) });
      return Number(answer.toString());
    },
    close: () => pool.close(),
  };
};

async function collect(pool: Dispatcher, options: DispatchOptions): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await dispatch(pool, options, (chunk) => chunks.push(chunk));
  const [first] = chunks;
  return first !== undefined && chunks.length === 1 ? first : Buffer.concat(chunks);
}

function dispatch(pool: Dispatcher, options: DispatchOptions, onChunk: (chunk: Buffer) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    pool.dispatch(options, {
      onRequestStart() {},
      onResponseStart(_controller, statusCode) {
        expectOk(statusCode);
      },
      onResponseData(_controller, chunk) {
        onChunk(chunk);
      },
      onResponseEnd() {
        resolve();
      },
      onResponseError(_controller, error) {
        reject(error);
      },
    });
  });
}
