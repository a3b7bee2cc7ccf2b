/**
 * Node's global `fetch`, as it comes.
 *
 * It takes neither a number of connections nor a certificate: the first follows from the requests in flight, the second
 * from NODE_EXTRA_CA_CERTS, which run.ts sets.
 */
import { expectOk, type OpenSession } from './client.js';
import { countBytes } from './peer.js';
import { webStream } from './source.js';

export const open: OpenSession = async ({ origin }) => ({
  async get(path) {
    const response = await fetch(origin + path);
    expectOk(response.status);
    return (await response.arrayBuffer()).byteLength;
  },
  async download(path) {
    const response = await fetch(origin + path);
    expectOk(response.status);
    return response.body === null ? 0 : await countBytes(response.body);
  },
  async upload(path, sizeBytes) {
    const headers = { 'content-length': String(sizeBytes) };
    const body = webStream(sizeBytes);
    const response = await fetch(origin + path, { method: 'POST', headers, body, duplex: 'half' });
    expectOk(response.status);
    return Number(await response.text());
  },
  async close() {},
});
