/**
 * A proxy that costs as little as a proxy in Node can, in a process of its own: so the client is what is measured.
 *
 * It looks at the first bytes of a connection only. CONNECT is consented to; anything else goes as it is to the `http` door,
 * which takes a target in absolute form as any origin must (RFC 9112 section 3.2.2). From then on bytes are passed on both
 * ways. At a second port they are from the first byte on, to the `https` door: what a tunnel costs beyond that is CONNECT's.
 *
 * It is given the doors as JSON in its first argument, prints its own as one line of JSON, and ends with its standard input.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { Doors, FileDoor } from './doors.js';

/** From start.ts of the same build: its shape is that of the type. */
const given: Pick<Doors, FileDoor> = JSON.parse(process.argv[2] ?? 'null');

const CONSENT = 'HTTP/1.1 200 Connection established\r\n\r\n';

const doors: Pick<Doors, 'proxy' | 'https-relayed'> = {
  proxy: `http://${await listen(createServer(serve))}`,
  'https-relayed': `https://${await listen(createServer((client) => join(client, new URL(given.https).host)))}`,
};
process.stdin.on('end', () => process.exit()).resume();
process.stdout.write(`${JSON.stringify(doors)}\n`);

/** Clients send a head in one piece, and nothing behind CONNECT before they have an answer. */
function serve(client: Socket): void {
  client.on('error', () => client.destroy());
  client.once('data', (first) => {
    const authority = /^CONNECT (\S+) /.exec(first.toString('latin1'))?.[1];
    const target = join(client, authority ?? new URL(given.http).host);
    if (authority === undefined) target.write(first);
    else target.once('connect', () => client.write(CONSENT));
  });
}

function join(client: Socket, authority: string): Socket {
  const { hostname, port } = new URL(`tcp://${authority}`);
  const target = connect(Number(port), hostname);
  for (const [from, to] of [
    [client, target],
    [target, client],
  ] as const) {
    from.setNoDelay(true);
    from.on('error', () => to.destroy()).pipe(to);
  }
  return target;
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
      const address = server.address();
      if (address === null || typeof address === 'string') reject(new Error('Cannot tell the port of the proxy'));
      else resolve(`127.0.0.1:${address.port}`);
    });
  });
}
