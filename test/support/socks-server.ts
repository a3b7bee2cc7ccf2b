/**
 * A SOCKS4, 4A and 5 proxy for tests, on a free port of loopback: it keeps what it was asked, and connects where it is told.
 * It reads the protocol in its own way and shares no code with the client. Proxies that misbehave are scripts of peer.ts.
 *
 * It imports nothing but Node, so that the documentation's examples can have it in a folder of their own (docs-workshop.ts).
 */
import { once } from 'node:events';
import net from 'node:net';

/** What a client asked for. */
export interface SocksRequest {
  readonly version: number;
  /** What it offered; empty for SOCKS4. */
  readonly methods: readonly number[];
  /** As latin1; null where it did not log in, empty where SOCKS4 gave an empty user id. */
  readonly username: string | null;
  readonly password: string | null;
  readonly kind: 'ipv4' | 'ipv6' | 'name';
  readonly host: string;
  readonly port: number;
}

export interface SocksServerOptions {
  /** Asked for, and compared, where given. */
  readonly login?: { readonly username: string; readonly password: string };
  /** What it answers instead of connecting: a reply code of the version that was asked in, or null to connect. */
  readonly reply?: (request: SocksRequest) => number | null;
  /** Where it connects, in place of the host that was asked for: tests have names of their own. */
  readonly connectTo?: string;
  /** Whether its replies come byte by byte. */
  readonly drips?: boolean;
  /** The address that it listens on. */
  readonly host?: string;
}

export interface SocksServer extends AsyncDisposable {
  readonly port: number;
  readonly requests: readonly SocksRequest[];
  /** Connections that were accepted, of clients that asked for something or not. */
  readonly accepted: readonly net.Socket[];
}

export async function socksServer(options: SocksServerOptions = {}): Promise<SocksServer> {
  const requests: SocksRequest[] = [];
  const accepted: net.Socket[] = [];
  const outward = new Set<net.Socket>();
  const server = net.createServer({ noDelay: true }, (socket) => {
    accepted.push(socket.on('error', () => {}));
    // A client that leaves in the middle leaves a promise that is never settled, and nothing else.
    void serve(socket, options, requests, outward);
  });
  server.listen(0, options.host ?? '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on a port');
  return {
    port: address.port,
    requests,
    accepted,
    async [Symbol.asyncDispose]() {
      for (const socket of [...accepted, ...outward]) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

async function serve(
  socket: net.Socket,
  options: SocksServerOptions,
  requests: SocksRequest[],
  outward: Set<net.Socket>,
): Promise<void> {
  const [version = 0] = await take(socket, 1);
  const request = version === 4 ? await socks4(socket) : await socks5(socket, options);
  if (request === null) return;
  requests.push(request);
  const code = options.reply?.(request) ?? null;
  if (code !== null) return void (await answer(socket, request.version === 4 ? [0, code] : [5, code, 0], options));
  const target = net.connect({ host: options.connectTo ?? request.host, port: request.port });
  outward.add(target.on('error', () => void answer(socket, request.version === 4 ? [0, 0x5b] : [5, 5, 0], options)));
  target.on('connect', () => void relay(socket, target, request, options));
}

async function relay(
  socket: net.Socket,
  target: net.Socket,
  { version }: SocksRequest,
  options: SocksServerOptions,
): Promise<void> {
  await answer(socket, version === 4 ? [0, 0x5a, 0, 0, 0, 0, 0, 0] : [5, 0, 0, 1, 127, 0, 0, 1, 0, 0], options);
  socket.pipe(target);
  target.pipe(socket);
  socket.on('close', () => target.destroy());
  target.on('close', () => socket.destroy());
}

async function socks4(socket: net.Socket): Promise<SocksRequest> {
  const request = await take(socket, 7);
  const username = await takeText(socket);
  const isName = request.subarray(3, 6).every((byte) => byte === 0) && request[6] !== 0;
  const host = isName ? await takeText(socket) : [...request.subarray(3)].join('.');
  const kind = isName ? 'name' : 'ipv4';
  return { version: 4, methods: [], username, password: null, kind, host, port: request.readUInt16BE(1) };
}

async function socks5(socket: net.Socket, options: SocksServerOptions): Promise<SocksRequest | null> {
  const [count = 0] = await take(socket, 1);
  const methods = [...(await take(socket, count))];
  const method = options.login === undefined ? 0 : 2;
  if (!methods.includes(method)) {
    await answer(socket, [5, 0xff], options);
    return null;
  }
  await answer(socket, [5, method], options);
  let username: string | null = null;
  let password: string | null = null;
  if (options.login !== undefined) {
    await take(socket, 1);
    username = await takeField(socket);
    password = await takeField(socket);
    const isWelcome = username === options.login.username && password === options.login.password;
    await answer(socket, [1, isWelcome ? 0 : 1], options);
    if (!isWelcome) return null;
  }
  const [, , , type = 0] = await take(socket, 4);
  const { kind, host } = await takeAddress(socket, type);
  const port = (await take(socket, 2)).readUInt16BE(0);
  return { version: 5, methods, username, password, kind, host, port };
}

async function takeAddress(socket: net.Socket, type: number): Promise<Pick<SocksRequest, 'kind' | 'host'>> {
  if (type === 3) return { kind: 'name', host: await takeField(socket) };
  if (type === 1) return { kind: 'ipv4', host: [...(await take(socket, 4))].join('.') };
  const groups = (await take(socket, 16)).toString('hex').match(/.{4}/g) ?? [];
  return { kind: 'ipv6', host: groups.join(':') };
}

async function takeField(socket: net.Socket): Promise<string> {
  const [length = 0] = await take(socket, 1);
  return length === 0 ? '' : (await take(socket, length)).toString('latin1');
}

async function takeText(socket: net.Socket): Promise<string> {
  let text = '';
  for (;;) {
    const byte = (await take(socket, 1)).toString('latin1');
    if (byte === '\0') return text;
    text += byte;
  }
}

/** The next bytes, exactly so many. */
async function take(socket: net.Socket, count: number): Promise<Buffer> {
  for (;;) {
    const bytes: unknown = socket.read(count);
    if (Buffer.isBuffer(bytes)) return bytes;
    await new Promise<void>((resolve) => void socket.once('readable', () => resolve()));
  }
}

async function answer(
  socket: net.Socket,
  bytes: readonly number[],
  { drips = false }: SocksServerOptions,
): Promise<void> {
  if (!drips) return void socket.write(Buffer.from(bytes));
  for (const byte of bytes) {
    await new Promise<void>((resolve) => void socket.write(Buffer.of(byte), () => resolve()));
    await new Promise((resolve) => setImmediate(resolve));
  }
}
