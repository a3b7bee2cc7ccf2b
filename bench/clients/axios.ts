/** axios with keep-alive agents; uploads without its redirects, which would keep the whole body in memory. */
import type { Agent as HttpAgent } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import { keepAliveAgents } from './agents.js';
import { expectOk, type OpenSession } from './client.js';
import { countBytes, loadPeer } from './peer.js';
import { nodeStream } from './source.js';

interface Options {
  readonly httpAgent?: HttpAgent;
  readonly httpsAgent?: HttpsAgent;
  readonly responseType?: 'arraybuffer' | 'stream' | 'text';
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxRedirects?: number;
  readonly maxBodyLength?: number;
  readonly maxContentLength?: number;
}

interface Response<Data> {
  readonly status: number;
  readonly data: Data;
}

interface Axios {
  create(options: Options): Axios;
  get<Data>(url: string, options: Options): Promise<Response<Data>>;
  post<Data>(url: string, data: Readable, options: Options): Promise<Response<Data>>;
}

export const open: OpenSession = async (options) => {
  const { default: plain } = await loadPeer<{ readonly default: Axios }>('axios');
  const agents = keepAliveAgents(options);
  const unlimited = { maxBodyLength: Number.POSITIVE_INFINITY, maxContentLength: Number.POSITIVE_INFINITY };
  const axios = plain.create({ httpAgent: agents.http, httpsAgent: agents.https, ...unlimited });
  const { origin } = options;
  return {
    async get(path) {
      const response = await axios.get<Buffer>(origin + path, { responseType: 'arraybuffer' });
      expectOk(response.status);
      return response.data.length;
    },
    async download(path) {
      const response = await axios.get<Readable>(origin + path, { responseType: 'stream' });
      expectOk(response.status);
      return await countBytes(response.data);
    },
    async upload(path, sizeBytes) {
      const headers = { 'content-length': String(sizeBytes), 'content-type': 'application/octet-stream' };
      const response = await axios.post<Buffer>(origin + path, nodeStream(sizeBytes), {
        headers,
        maxRedirects: 0,
        responseType: 'arraybuffer',
      });
      expectOk(response.status);
      return Number(response.data.toString());
    },
    async close() {
      agents.destroy();
    },
  };
};
