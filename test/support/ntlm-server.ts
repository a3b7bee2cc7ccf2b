/**
 * A server that logs connections in by NTLM, as IIS does, and believes nothing: it works out the proof, the MIC and the channel
 * binding anew from what it knows itself (MS-NLMP sections 3.3.2 and 3.1.5.1.2), and keeps what it has seen.
 *
 * Nothing of the library is in it, so that it stays an independent check, and runs beside the documentation too.
 */
import { createHash, createHmac, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** The domain that the server says it belongs to. */
export const DOMAIN = 'EXAMPLE';

/** The one user, and his password. */
export const USER = 'user';
export const PASSWORD = 'password';
/** MD4 of the password, which Node cannot work out any more. */
const NT_HASH = Buffer.from('8846f7eaee8fb117ad06bdd830b7586c', 'hex');

/** One request as it came. */
export interface SeenRequest {
  /** Which connection brought it, from 0. */
  readonly connection: number;
  readonly method: string;
  readonly path: string;
  readonly fields: http.IncomingHttpHeaders;
  readonly body: string;
  /** What came of a login: its first message, its last one, or no message. */
  readonly message: 'negotiate' | 'authenticate' | null;
  /** Who the connection was logged in as before it; null for nobody. */
  readonly user: string | null;
}

/** What is done with a request in place of what would be. */
export type Interception =
  | 'drop'
  | 'ignore'
  | { readonly status: number; readonly fields?: http.OutgoingHttpHeaders; readonly body?: string };

export interface NtlmServerOptions {
  /** The server's certificate and key in PEM; logins must then be bound to that certificate. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** The schemes that are offered, in this order; the messages go under the last one. @defaultValue Negotiate and NTLM */
  readonly offers?: readonly ('NTLM' | 'Negotiate' | 'Basic realm="x"')[];
  /** Whether a connection stays logged in. @defaultValue true */
  readonly persists?: boolean;
  /** The content of a refusal. */
  readonly refusal?: string;
  readonly intercept?: (request: SeenRequest) => Interception | undefined;
}

export interface NtlmServer extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly requests: readonly SeenRequest[];
  /** The connections that were logged in, once for each login. */
  readonly logins: readonly number[];
  /** Why messages were refused. */
  readonly complaints: readonly string[];
  readonly connectionCount: number;
  /** How many of them have resumed a session of TLS. */
  readonly resumedCount: number;
  /** Closes all connections. */
  drop(): void;
  /** Waits until something that the server sees makes this true. */
  until(isTrue: (server: NtlmServer) => boolean): Promise<void>;
}

/** What the server knows of a connection. */
interface Client {
  readonly index: number;
  negotiate: Buffer | null;
  challenge: Buffer | null;
  user: string | null;
}

/** Starts the server on a free port of loopback; `/open` is open to everybody, all else is behind the login. */
export async function startNtlmServer(options: NtlmServerOptions = {}): Promise<NtlmServer> {
  const { offers = ['Negotiate', 'NTLM'], persists = true, refusal = 'Log in', intercept } = options;
  const scheme = offers.findLast((offer) => offer === 'NTLM' || offer === 'Negotiate') ?? 'NTLM';
  const binding = options.tls === undefined ? null : channelBinding(new X509Certificate(options.tls.cert).raw);
  const clients = new Map<Socket, Client>();
  const sockets = new Set<Socket>();
  const requests: SeenRequest[] = [];
  const logins: number[] = [];
  const complaints: string[] = [];
  let resumedCount = 0;
  const watchers = new Set<() => void>();
  const changed = () => {
    for (const watcher of watchers) watcher();
  };

  const answer = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> => {
    const client = clients.get(request.socket);
    if (client === undefined) throw new Error('a request of a connection that nobody has seen');
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const token = tokenOf(request.headers.authorization, scheme);
    const seen: SeenRequest = {
      connection: client.index,
      method: request.method ?? '',
      path: request.url ?? '',
      fields: request.headers,
      body: Buffer.concat(pieces).toString('latin1'),
      message: token === null ? null : token[8] === 1 ? 'negotiate' : 'authenticate',
      user: client.user,
    };
    requests.push(seen);
    const intercepted = intercept?.(seen);
    changed();
    if (intercepted === 'drop') request.socket.destroy();
    else if (intercepted === 'ignore') return;
    else if (intercepted !== undefined) {
      response.writeHead(intercepted.status, intercepted.fields).end(intercepted.body ?? '');
    } else serve(seen, client, token, response);
  };

  const refuse = (response: http.ServerResponse, challenges: readonly string[]): void => {
    response.writeHead(401, { 'WWW-Authenticate': [...challenges], 'Content-Type': 'text/html' }).end(refusal);
  };

  const serve = (seen: SeenRequest, client: Client, token: Buffer | null, response: http.ServerResponse): void => {
    const isOpen = seen.path.startsWith('/open');
    if (token !== null && seen.message === 'negotiate' && !isOpen) {
      client.negotiate = token;
      client.user = null;
      client.challenge = challengeMessage();
      return refuse(response, [`${scheme} ${client.challenge.toString('base64')}`]);
    }
    const fields: http.OutgoingHttpHeaders = { 'Content-Type': 'application/json' };
    if (token !== null && !isOpen) {
      const { negotiate, challenge } = client;
      client.challenge = null;
      const complaint =
        negotiate === null || challenge === null
          ? 'a proof without a challenge'
          : complaintOf({ negotiate, challenge, authenticate: token }, binding);
      if (complaint !== null) complaints.push(complaint);
      if (complaint !== null) return refuse(response, offers);
      logins.push(client.index);
      client.user = USER;
      fields['Persistent-Auth'] = String(persists);
    }
    if (client.user === null && !isOpen) return refuse(response, offers);
    const { method, path, body, connection } = seen;
    response.writeHead(200, fields).end(JSON.stringify({ user: client.user, method, path, body, connection }));
    if (!persists) client.user = null;
  };

  const server = options.tls === undefined ? http.createServer() : https.createServer(options.tls);
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.on(options.tls === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    if (socket instanceof TLSSocket && socket.isSessionReused()) resumedCount++;
    clients.set(socket, { index: clients.size, negotiate: null, challenge: null, user: null });
    socket.on('error', () => {});
    changed();
  });
  server.on('request', (request, response) => {
    // A client that leaves in the middle of its request breaks the reading of it off.
    answer(request, response).catch(() => request.socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the server listens on a port');
  const drop = () => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  const self: NtlmServer = {
    port: address.port,
    url: options.tls === undefined ? `http://127.0.0.1:${address.port}` : `https://localhost:${address.port}`,
    requests,
    logins,
    complaints,
    get connectionCount() {
      return clients.size;
    },
    get resumedCount() {
      return resumedCount;
    },
    drop,
    until(isTrue) {
      return new Promise((resolve) => {
        const watcher = () => {
          if (!isTrue(self)) return;
          watchers.delete(watcher);
          resolve();
        };
        watchers.add(watcher);
        watcher();
      });
    },
    async [Symbol.asyncDispose]() {
      drop();
      server.close();
      await once(server, 'close');
    },
  };
  return self;
}

/** Which message goes with a request: its field has the scheme and nothing but a token. */
function tokenOf(authorization: string | undefined, scheme: string): Buffer | null {
  const token = new RegExp(`^${scheme} ([A-Za-z0-9+/]+={0,2})$`).exec(authorization ?? '')?.[1];
  return token === undefined ? null : Buffer.from(token, 'base64');
}

/** CHALLENGE (MS-NLMP section 2.2.1.2), with a time: whoever answers must then send a MIC. */
function challengeMessage(): Buffer {
  const name = Buffer.from(DOMAIN, 'utf16le');
  const time = Buffer.alloc(8);
  time.writeBigUInt64LE((BigInt(Date.now()) + 11_644_473_600_000n) * 10_000n);
  const info = Buffer.concat([pair(2, name), pair(7, time), pair(0, Buffer.alloc(0))]);
  const head = Buffer.alloc(48);
  head.write('NTLMSSP\0', 'latin1');
  head.writeUInt32LE(2, 8);
  field(head, 12, name.length, 48);
  head.writeUInt32LE(0x00898205, 20);
  randomBytes(8).copy(head, 24);
  field(head, 40, info.length, 48 + name.length);
  return Buffer.concat([head, name, info]);
}

function pair(id: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(id, 0);
  head.writeUInt16LE(value.length, 2);
  return Buffer.concat([head, value]);
}

function field(head: Buffer, at: number, length: number, offset: number): void {
  head.writeUInt16LE(length, at);
  head.writeUInt16LE(length, at + 2);
  head.writeUInt32LE(offset, at + 4);
}

interface Messages {
  readonly negotiate: Buffer;
  readonly challenge: Buffer;
  readonly authenticate: Buffer;
}

/** What is wrong with a proof; null if nothing is. */
function complaintOf({ negotiate, challenge, authenticate }: Messages, binding: Buffer | null): string | null {
  const part = (at: number) => {
    const offset = authenticate.readUInt32LE(at + 4);
    return authenticate.subarray(offset, offset + authenticate.readUInt16LE(at));
  };
  const [response, domain, user] = [part(20), part(28), part(36).toString('utf16le')];
  if (user.toUpperCase() !== USER.toUpperCase()) return `no such user: ${user}`;
  const key = hmac(NT_HASH, Buffer.from(user.toUpperCase(), 'utf16le'), domain);
  const [proof, temp] = [response.subarray(0, 16), response.subarray(16)];
  if (!hmac(key, challenge.subarray(24, 32), temp).equals(proof)) return 'wrong password';
  const pairs = pairsOf(temp.subarray(28));
  if (((pairs.get(6)?.readUInt32LE() ?? 0) & 2) === 0) return 'no MIC';
  const without = Buffer.from(authenticate);
  without.fill(0, 72, 88);
  const mic = hmac(hmac(key, proof), negotiate, challenge, without);
  if (!mic.equals(authenticate.subarray(72, 88))) return 'wrong MIC';
  const bound = pairs.get(10) ?? null;
  if (binding === null) return bound === null ? null : 'bound to a channel that is not there';
  return bound?.equals(binding) === true ? null : 'not bound to this channel';
}

function pairsOf(bytes: Buffer): Map<number, Buffer> {
  const pairs = new Map<number, Buffer>();
  for (let at = 0; bytes.readUInt16LE(at) !== 0; at += 4 + bytes.readUInt16LE(at + 2)) {
    pairs.set(bytes.readUInt16LE(at), bytes.subarray(at + 4, at + 4 + bytes.readUInt16LE(at + 2)));
  }
  return pairs;
}

/** RFC 5929 section 4.1, for certificates that were signed with SHA-256, as MsvAvChannelBindings has it. */
function channelBinding(certificate: Buffer): Buffer {
  const hash = createHash('sha256').update(certificate).digest();
  const data = Buffer.concat([Buffer.from('tls-server-end-point:'), hash]);
  const head = Buffer.alloc(20);
  head.writeUInt32LE(data.length, 16);
  return createHash('md5').update(head).update(data).digest();
}

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const hash = createHmac('md5', key);
  for (const part of parts) hash.update(part);
  return hash.digest();
}
