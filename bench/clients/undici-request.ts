/** `request()` of undici with an Agent of its own: what undici's documentation begins with. */
import { expectOk, type OpenSession } from './client.js';
import { countBytes } from './peer.js';
import { nodeStream } from './source.js';
import { acceptHeaders, decodedLength, dispatcherOptions, loadUndici } from './undici.js';

export const open: OpenSession = async (options) => {
  const { Agent, request } = await loadUndici();
  const { origin, gzip } = options;
  const dispatcher = new Agent(dispatcherOptions(options));
  const get = { dispatcher, method: 'GET', headers: acceptHeaders(gzip) };
  return {
    async get(path) {
      const { statusCode, body } = await request(origin + path, get);
      expectOk(statusCode);
      return decodedLength(await body.arrayBuffer(), gzip);
    },
    async download(path) {
      const { statusCode, body } = await request(origin + path, get);
      expectOk(statusCode);
      return await countBytes(body);
    },
    async upload(path, sizeBytes) {
      const headers = { 'content-length': String(sizeBytes) };
      const body = nodeStream(sizeBytes);
      const response = await request(origin + path, { dispatcher, method: 'POST', headers, body });
      expectOk(response.statusCode);
      return Number(await response.body.text());
    },
    close: () => dispatcher.close(),
  };
};
