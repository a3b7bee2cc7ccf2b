/**
 * The keep-alive agents of `node:http` and `node:https`, which got, axios and node-fetch use as well.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { SessionOptions } from './client.js';

export interface Agents {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
  destroy(): void;
}

export function keepAliveAgents({ connections, ca }: SessionOptions): Agents {
  const sizes = { keepAlive: true, maxSockets: connections, maxFreeSockets: connections };
  const http = new HttpAgent(sizes);
  const https = new HttpsAgent({ ...sizes, ca });
  return {
    http,
    https,
    destroy() {
      http.destroy();
      https.destroy();
    },
  };
}
