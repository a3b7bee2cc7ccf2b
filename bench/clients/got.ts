/** got 14 with keep-alive agents and otherwise its defaults: retries, redirects, decoding. */
import type { Readable } from 'node:stream';
import { type Agents, keepAliveAgents } from './agents.js';
import { expectOk, type OpenSession } from './client.js';
import { countBytes, loadPeer } from './peer.js';
import { nodeStream } from './source.js';

interface Options {
  readonly agent?: Omit<Agents, 'destroy'>;
  readonly responseType?: 'buffer';
  readonly body?: Readable;
  readonly headers?: Readonly<Record<string, string>>;
}

interface Response {
  readonly statusCode: number;
  readonly body: Buffer;
}

interface Got {
  (url: string, options: Options): Promise<Response>;
  post(url: string, options: Options): Promise<Response>;
  stream(url: string): AsyncIterable<Uint8Array>;
  extend(options: Options): Got;
}

export const open: OpenSession = async (options) => {
  const { got: plain } = await loadPeer<{ readonly got: Got }>('got');
  const agents = keepAliveAgents(options);
  const got = plain.extend({ agent: { http: agents.http, https: agents.https } });
  const { origin } = options;
  return {
    async get(path) {
      const response = await got(origin + path, { responseType: 'buffer' });
      expectOk(response.statusCode);
      return response.body.length;
    },
    async download(path) {
      return await countBytes(got.stream(origin + path));
    },
    async upload(path, sizeBytes) {
      const headers = { 'content-length': String(sizeBytes) };
      const response = await got.post(origin + path, { headers, body: nodeStream(sizeBytes), responseType: 'buffer' });
      expectOk(response.statusCode);
      return Number(response.body.toString());
    },
    async close() {
      agents.destroy();
    },
  };
};
