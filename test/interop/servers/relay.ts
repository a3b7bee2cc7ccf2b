/**
 * What stands between the client and a real proxy: it passes every byte on and keeps those of the client, so that
 * connections can be counted and secrets looked for; if wanted, it spoils what the proxy says.
 */
import { once } from 'node:events';
import net from 'node:net';

export interface Relay extends AsyncDisposable {
  readonly port: number;
  /** What each client has sent, as latin1; one for each connection that was ever made. */
  readonly sent: readonly string[];
  /** Connections of clients that still stand. */
  readonly open: number;
  /** Resolves when none of them stands any more. */
  idle(): Promise<void>;
}

/**
 * What is passed on in place of bytes that come from the proxy, behind `before` others on this connection. Behind fewer bytes
 * than came the connection ends.
 */
export type Spoil = (bytes: Buffer, before: number) => Buffer;

/** The proxy is heard up to so many bytes, and then it closes. */
export function cutAfter(length: number): Spoil {
  return (bytes, before) => bytes.subarray(0, Math.max(length - before, 0));
}

export async function startRelay(proxyPort: number, spoil: Spoil = (bytes) => bytes): Promise<Relay> {
  const records: Buffer[][] = [];
  const standing = new Set<net.Socket>();
  const onward = new Set<net.Socket>();
  // The proxy hears of a client's end, and the client of the proxy's, as if nobody stood between them.
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const record: Buffer[] = [];
    records.push(record);
    const proxy = net.connect({ port: proxyPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    standing.add(client);
    onward.add(proxy);
    let before = 0;
    client.on('data', (bytes) => {
      record.push(bytes);
      if (!proxy.write(bytes)) client.pause();
    });
    proxy.on('drain', () => client.resume());
    proxy.on('data', (bytes) => {
      const passed = spoil(bytes, before);
      before += bytes.length;
      if (client.writableEnded) return;
      if (!client.write(passed)) proxy.pause();
      if (passed.length < bytes.length) client.end();
    });
    client.on('drain', () => proxy.resume());
    client.on('end', () => proxy.end()).on('error', () => proxy.destroy());
    proxy.on('end', () => client.end()).on('error', () => client.destroy());
    client.on('close', () => {
      standing.delete(client);
      proxy.destroy();
    });
    proxy.on('close', () => {
      onward.delete(proxy);
      client.destroySoon();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return {
    port: address.port,
    get sent() {
      return records.map((record) => Buffer.concat(record).toString('latin1'));
    },
    get open() {
      return standing.size;
    },
    async idle() {
      await Promise.all([...standing].map((client) => new Promise((resolve) => client.once('close', resolve))));
    },
    async [Symbol.asyncDispose]() {
      for (const socket of [...standing, ...onward]) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
