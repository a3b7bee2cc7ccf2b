/** `node:http` and `node:https` with a keep-alive agent: what Node gives without a library. */
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { gunzipSync } from 'node:zlib';
import { keepAliveAgents } from './agents.js';
import { expectOk, type OpenSession } from './client.js';
import { countBytes } from './peer.js';
import { nodeStream } from './source.js';

export const open: OpenSession = async (options) => {
  const agents = keepAliveAgents(options);
  const { protocol, hostname, port } = new URL(options.origin);
  const [request, agent] = protocol === 'https:' ? [httpsRequest, agents.https] : [httpRequest, agents.http];
  const headers = options.gzip ? { 'accept-encoding': 'gzip' } : {};

  function send(details: RequestOptions, bodyBytes: number | null): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const outgoing = request({ hostname, port, agent, headers, ...details }, (response) => {
        if (response.statusCode === 200) resolve(response);
        else reject(new Error(`Cannot count a response of status ${response.statusCode}: 200 is wanted`));
      });
      outgoing.on('error', reject);
      if (bodyBytes === null) outgoing.end();
      else nodeStream(bodyBytes).pipe(outgoing);
    });
  }

  return {
    async get(path) {
      const response = await send({ path, method: 'GET' }, null);
      const content = await readAll(response);
      return response.headers['content-encoding'] === 'gzip' ? gunzipSync(content).length : content.length;
    },
    async download(path) {
      return await countBytes(await send({ path, method: 'GET' }, null));
    },
    async upload(path, sizeBytes) {
      const uploadHeaders = { 'content-length': String(sizeBytes) };
      const response = await send({ path, method: 'POST', headers: uploadHeaders }, sizeBytes);
      return Number((await readAll(response)).toString());
    },
    async close() {
      agents.destroy();
    },
  };
};

/** By events, since they are cheaper than `for await` for the one or two chunks of a small content. */
function readAll(response: IncomingMessage): Promise<Buffer> {
  expectOk(response.statusCode ?? 0);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () => resolve(Buffer.concat(chunks)));
    response.on('error', reject);
  });
}
