/**
 * Run by dual-stack.test.ts inside a network of its own: makes requests to hosts with addresses that do not answer, and prints
 * what it saw as JSON.
 */
import dns from 'node:dns/promises';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { HTTPConnectionPool } from '../../src/connectionpool.js';

/** One request, as it went. */
export interface Probe {
  readonly host: string;
  /** In the resolver's order. */
  readonly addresses: readonly string[];
  readonly elapsedMs: number;
  /** The content: the address that was asked; or the name of the error. */
  readonly outcome: string;
}

const server = createServer((request, response) => response.end(request.socket.localAddress)).listen(0, '::');
await once(server, 'listening');
const address = server.address();
if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');

const probes: Probe[] = [];
for (const host of ['ipv6dead.test', 'ipv4dead.test', 'alldead.test']) {
  const addresses = (await dns.lookup(host, { all: true, verbatim: true })).map((entry) => entry.address);
  const startMs = performance.now();
  await using pool = new HTTPConnectionPool(host, { port: address.port, timeout: 2, retries: false });
  const outcome = await pool.request('GET', '/').then(
    (response) => response.data.toString(),
    (error) => error.name,
  );
  probes.push({ host, addresses, elapsedMs: Math.round(performance.now() - startMs), outcome });
}
server.close();
console.log(JSON.stringify(probes));
