/** `request()` of undici through its ProxyAgent, which asks for http URLs in absolute form where it is told to. */
import { expectOk, type OpenSession, proxyOf } from './client.js';
import { countBytes } from './peer.js';
import { nodeStream } from './source.js';
import { acceptHeaders, decodedLength, dispatcherOptions, loadUndici } from './undici.js';

export const open: OpenSession = async (options) => {
  const { ProxyAgent, request } = await loadUndici();
  const { origin, gzip, ca } = options;
  const { url: uri } = proxyOf(options);
  const proxied = { uri, proxyTunnel: origin.startsWith('https:'), requestTls: { ca } };
  const dispatcher = new ProxyAgent({ ...dispatcherOptions(options), ...proxied });
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
