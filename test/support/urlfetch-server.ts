/**
 * A stand-in for App Engine's URLFetch, written from the facts of the protocol: it takes remote calls as the bridge of the
 * runtime does, and really fetches what they ask for, or answers as a test says.
 *
 * A peer shares no code with what it tests: it reads and writes the messages in its own way, and fetches with `node:http`.
 * It needs nothing but Node, so that the examples of the documentation can run against it, too.
 */
import { once } from 'node:events';
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';

/** A request to fetch, as it stood in the message. */
export interface FetchRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly payload: Buffer | null;
  readonly followRedirects: boolean;
  /** Seconds; null if it was not said. */
  readonly deadline: number | null;
  /** null if it was not said. */
  readonly validateCertificate: boolean | null;
}

/** A remote call. */
export interface RemoteCall extends FetchRequest {
  /** Of the call itself. */
  readonly path: string;
  readonly callHeaders: IncomingHttpHeaders;
  readonly service: string;
  readonly procedure: string;
  /** null if the call had none. */
  readonly ticket: string | null;
}

/** What the service answers. */
export type Answer =
  | {
      readonly status: number;
      readonly headers?: readonly (readonly [name: string, value: string])[];
      readonly content?: string | Uint8Array;
      readonly truncated?: boolean;
      readonly finalUrl?: string;
    }
  | { readonly applicationError: number; readonly detail?: string }
  | { readonly rpcError: number; readonly detail?: string }
  /** The bytes of the message. */
  | { readonly message: Uint8Array }
  /** No message at all. */
  | { readonly callStatus: number; readonly text: string }
  /** The connection ends without an answer. */
  | { readonly broken: true };

export interface UrlfetchServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Everything that was asked for so far. */
  readonly calls: readonly RemoteCall[];
  /** Connections that were opened so far. */
  readonly connections: number;
  close(): Promise<void>;
}

const METHODS = ['', 'GET', 'POST', 'HEAD', 'PUT', 'DELETE', 'PATCH'];
const MAX_REDIRECTS = 5;
const MAX_PAYLOAD_BYTES = 10_485_760;
const MAX_CONTENT_BYTES = 33_554_432;
const DEFAULT_DEADLINE_MS = 5_000;

/** What the service sets itself. */
const TAKEN_AWAY = ['content-length', 'host', 'vary', 'via', 'x-appengine-inbound-appid', 'x-forwarded-for'];

/** @param answer - what each call gets; by default what it asks for */
export async function startUrlfetchServer(
  answer: (call: RemoteCall) => Answer | Promise<Answer> = fetchForReal,
  host = '127.0.0.1',
): Promise<UrlfetchServer> {
  const calls: RemoteCall[] = [];
  let connections = 0;
  const server = http.createServer(async (request, response) => {
    const body = await contentOf(request);
    const call = remoteCall(request, body);
    calls.push(call);
    const given = await answer(call);
    if ('broken' in given) return void request.socket.destroy();
    if ('callStatus' in given) return void response.writeHead(given.callStatus).end(given.text);
    response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(reply(given));
  });
  server.on('connection', () => connections++);
  server.listen(0, host);
  await once(server, 'listening');
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return {
    host,
    port,
    calls,
    get connections() {
      return connections;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

// Messages

type Value = number | Buffer | Message;
type Message = Map<number, Value[]>;

function remoteCall(request: IncomingMessage, body: Buffer): RemoteCall {
  const call = parse(body);
  const fetching = parse(bytes(call, 4) ?? Buffer.alloc(0));
  const deadline = bytes(fetching, 8);
  return {
    path: request.url ?? '',
    callHeaders: request.headers,
    service: String(bytes(call, 2)),
    procedure: String(bytes(call, 3)),
    ticket: bytes(call, 5)?.toString() ?? null,
    method: METHODS[number(fetching, 1) ?? 0] ?? '',
    url: String(bytes(fetching, 2)),
    headers: (fetching.get(3) ?? []).flatMap((group) =>
      group instanceof Map ? [[String(bytes(group, 4)), String(bytes(group, 5))] as const] : [],
    ),
    payload: bytes(fetching, 6) ?? null,
    followRedirects: number(fetching, 7) !== 0,
    deadline: deadline === undefined ? null : deadline.readDoubleLE(),
    validateCertificate: fetching.has(9) ? number(fetching, 9) === 1 : null,
  };
}

/** A message by the numbers of its fields. Groups end by returning to the caller, who shares the cursor. */
function parse(message: Buffer, cursor = { at: 0 }): Message {
  const fields: Message = new Map();
  const next = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message.readUInt8(cursor.at++);
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  };
  const cut = (length: number) => {
    cursor.at += length;
    return message.subarray(cursor.at - length, cursor.at);
  };
  while (cursor.at < message.length) {
    const tag = next();
    const type = tag % 8;
    if (type === 4) return fields;
    const value =
      type === 0 ? next() : type === 3 ? parse(message, cursor) : cut(type === 1 ? 8 : type === 2 ? next() : 4);
    const field = Math.floor(tag / 8);
    fields.set(field, [...(fields.get(field) ?? []), value]);
  }
  return fields;
}

function bytes(message: Message, field: number): Buffer | undefined {
  const value = message.get(field)?.at(-1);
  return Buffer.isBuffer(value) ? value : undefined;
}

function number(message: Message, field: number): number | undefined {
  const value = message.get(field)?.at(-1);
  return typeof value === 'number' ? value : undefined;
}

function reply(answer: Exclude<Answer, { callStatus: number } | { broken: true }>): Uint8Array {
  if ('message' in answer) return answer.message;
  if ('applicationError' in answer) return block(3, failure(answer.applicationError, answer.detail));
  if ('rpcError' in answer) return block(5, failure(answer.rpcError, answer.detail));
  const { status, headers = [], content = '', truncated = false, finalUrl } = answer;
  return block(
    1,
    Buffer.concat([
      block(1, content),
      varint(2 * 8, status),
      ...headers.map(([name, value]) =>
        Buffer.concat([Buffer.of(0x1b), block(4, latin1(name)), block(5, latin1(value)), Buffer.of(0x1c)]),
      ),
      varint(6 * 8, truncated ? 1 : 0),
      varint(7 * 8, 0),
      varint(8 * 8, content.length),
      finalUrl === undefined ? Buffer.alloc(0) : block(9, finalUrl),
      varint(10 * 8, 3),
    ]),
  );
}

function failure(code: number, detail = ''): Buffer {
  return Buffer.concat([varint(1 * 8, code), block(2, detail)]);
}

function block(field: number, value: string | Uint8Array): Buffer {
  const content = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([varint(field * 8 + 2, content.length), content]);
}

/** A tag, and the number behind it. */
function varint(...values: readonly number[]): Buffer {
  return Buffer.from(
    values.flatMap((value) => {
      const digits = [];
      for (let rest = value; ; rest = Math.floor(rest / 128)) {
        if (rest < 128) return [...digits, rest];
        digits.push(128 + (rest % 128));
      }
    }),
  );
}

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

// Fetching

/** Fetches as the service is said to. */
export async function fetchForReal(call: FetchRequest): Promise<Answer> {
  if ((call.payload?.length ?? 0) > MAX_PAYLOAD_BYTES) return { applicationError: 13, detail: 'over the 10 MiB limit' };
  const deadlineMs = call.deadline === null ? DEFAULT_DEADLINE_MS : call.deadline * 1000;
  const signal = AbortSignal.timeout(Math.ceil(deadlineMs));
  let { method, url, payload } = call;
  try {
    for (let redirects = 0; ; redirects++) {
      const response = await exchange({ ...call, method, url, payload }, signal);
      const content = await contentOf(response);
      const status = response.statusCode ?? 0;
      const { location } = response.headers;
      if (!call.followRedirects || location === undefined || ![301, 302, 303, 307, 308].includes(status)) {
        return answerOf(response, content, call, redirects === 0 ? undefined : url);
      }
      if (redirects === MAX_REDIRECTS) return { applicationError: 10, detail: 'Too many redirects' };
      url = new URL(location, url).href;
      if (status < 307 && method === 'POST') [method, payload] = ['GET', null];
    }
  } catch (error) {
    return { applicationError: codeOf(error), detail: String(error) };
  }
}

async function exchange(call: FetchRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { protocol } = new URL(call.url);
  const kept = call.headers.filter(([name]) => !TAKEN_AWAY.includes(name.toLowerCase()));
  const given = (wanted: string) => kept.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
  const agent = [...given('user-agent'), 'AppEngine-Google; (+http://code.google.com/appengine; appid: s~test)'];
  const headers: Record<string, string | string[]> = { 'User-Agent': agent.join(' ') };
  if (given('accept-encoding').length === 0) headers['Accept-Encoding'] = 'gzip';
  if (call.method === 'POST' && given('content-type').length === 0) {
    headers['Content-Type'] = 'application/x-www-form-urlencoded';
  }
  for (const [name] of kept) if (name.toLowerCase() !== 'user-agent') headers[name] = given(name.toLowerCase());
  const request = (protocol === 'https:' ? https : http).request(call.url, {
    method: call.method,
    headers,
    signal,
    agent: false,
    rejectUnauthorized: call.validateCertificate ?? false,
  });
  request.end(['POST', 'PUT', 'PATCH'].includes(call.method) ? call.payload : null);
  return await new Promise((resolve, reject) => void request.on('response', resolve).on('error', reject));
}

function answerOf(
  response: IncomingMessage,
  content: Buffer,
  call: FetchRequest,
  finalUrl: string | undefined,
): Answer {
  if (content.length > MAX_CONTENT_BYTES) return { applicationError: 4, detail: 'response too large' };
  const asked = call.headers.some(([name]) => name.toLowerCase() === 'accept-encoding');
  const inflates = !asked && response.headers['content-encoding'] === 'gzip';
  const headers: [string, string][] = [];
  for (let index = 0; index + 1 < response.rawHeaders.length; index += 2) {
    const name = response.rawHeaders[index] ?? '';
    if (inflates && ['content-encoding', 'content-length'].includes(name.toLowerCase())) continue;
    headers.push([name, response.rawHeaders[index + 1] ?? '']);
  }
  return {
    status: response.statusCode ?? 0,
    headers,
    content: inflates && content.length > 0 ? gunzipSync(content) : content,
    ...(finalUrl === undefined ? {} : { finalUrl }),
  };
}

function codeOf(error: unknown): number {
  const code: unknown = error instanceof Error ? Object.getOwnPropertyDescriptor(error, 'code')?.value : undefined;
  if (error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')) return 5;
  switch (code) {
    case 'ERR_INVALID_URL':
    case 'ERR_INVALID_PROTOCOL':
      return 1;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 7;
    case 'ECONNREFUSED':
      return 12;
    case 'ECONNRESET':
      return 8;
    default:
      if (String(code).startsWith('HPE_')) return 11;
      return /CERT|SIGNED|ALTNAME/.test(String(code)) ? 6 : 2;
  }
}

async function contentOf(message: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of message) pieces.push(piece);
  return Buffer.concat(pieces);
}
