/** `Pool.request` of undici: one origin, no look-up of a dispatcher and no URL to parse. */
import { expectOk, type OpenSession } from './client.js';
import { countBytes } from './peer.js';
import { nodeStream } from './source.js';
import { acceptHeaders, decodedLength, dispatcherOptions, loadUndici } from './undici.js';

export const open: OpenSession = async (options) => {
  const { Pool } = await loadUndici();
  const { origin, gzip } = options;
  const pool = new Pool(origin, dispatcherOptions(options));
  const headers = acceptHeaders(gzip);
  return {
    async get(path) {
      const { statusCode, body } = await pool.request({ path, method: 'GET', headers });
      expectOk(statusCode);
      return decodedLength(await body.arrayBuffer(), gzip);
    },
    async download(path) {
      const { statusCode, body } = await pool.request({ path, method: 'GET', headers });
      expectOk(statusCode);
      return await countBytes(body);
    },
    async upload(path, sizeBytes) {
      const response = await pool.request({
        path,
        method: 'POST',
        headers: { 'content-length': String(sizeBytes) },
        body: nodeStream(sizeBytes),
      });
      expectOk(response.statusCode);
      return Number(await response.body.text());
    },
    close: () => pool.close(),
  };
};
