/** node-fetch 3 with keep-alive agents. */
import type { Agent as HttpAgent } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import { keepAliveAgents } from './agents.js';
import { expectOk, type OpenSession } from './client.js';
import { countBytes, loadPeer } from './peer.js';
import { nodeStream } from './source.js';

interface Options {
  readonly agent: HttpAgent | HttpsAgent;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readable;
}

interface Response {
  readonly status: number;
  readonly body: AsyncIterable<Uint8Array>;
  arrayBuffer(): Promise<ArrayBuffer>;
  text(): Promise<string>;
}

type Fetch = (url: string, options: Options) => Promise<Response>;

export const open: OpenSession = async (options) => {
  const { default: fetch } = await loadPeer<{ readonly default: Fetch }>('node-fetch');
  const agents = keepAliveAgents(options);
  const { origin } = options;
  const agent = origin.startsWith('https:') ? agents.https : agents.http;
  return {
    async get(path) {
      const response = await fetch(origin + path, { agent });
      expectOk(response.status);
      return (await response.arrayBuffer()).byteLength;
    },
    async download(path) {
      const response = await fetch(origin + path, { agent });
      expectOk(response.status);
      return await countBytes(response.body);
    },
    async upload(path, sizeBytes) {
      const headers = { 'content-length': String(sizeBytes) };
      const response = await fetch(origin + path, { agent, method: 'POST', headers, body: nodeStream(sizeBytes) });
      expectOk(response.status);
      return Number(await response.text());
    },
    async close() {
      agents.destroy();
    },
  };
};
