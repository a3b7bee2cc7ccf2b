/**
 * The peer of the behaviour suite: a server that plays one scenario a path, also the broken ones, and remembers what it was asked.
 *
 * `/<run>/<scenario>/...`: a run is one test, so that tests do not see each other's requests. `/<run>/log` lists them. Every answer
 * lets scripts of any origin read it, for the pages of browsers that ask from another one.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer as createTcpServer } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';

/** A request, as it came. */
export interface SeenRequest {
  readonly method: string;
  /** Scenario and query. */
  readonly target: string;
  /** Names in lower case; lines of one name joined by ', '. */
  readonly fields: Readonly<Record<string, string>>;
  /** In latin1. */
  readonly body: string;
}

export interface ScenarioServer extends AsyncDisposable {
  readonly url: string;
  /** The same server under another origin. */
  readonly otherUrl: string;
  /** Where nobody listens. */
  readonly refusedUrl: string;
}

/** Answers what is no scenario; false for what is not its own. */
export type Extra = (request: IncomingMessage, response: ServerResponse, body: Buffer) => boolean;

interface Visit {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly seen: SeenRequest;
  /** How often this run came to this scenario before. */
  readonly before: number;
  /** What stands behind the scenario's name. */
  readonly rest: readonly string[];
  readonly query: URLSearchParams;
  /** What this run holds back until it asks for `release`. */
  readonly held: Set<() => void>;
}

interface Run {
  readonly log: SeenRequest[];
  readonly held: Set<() => void>;
}

type Scenario = (visit: Visit) => void;

const TEXT = { 'Content-Type': 'text/plain' };

const CODINGS: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  gzip: gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
};

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  echo: ({ response, seen }) => json(response, seen),
  status: ({ response, rest: [status] }) => end(response, Number(status), TEXT, `status ${status}`),
  head: ({ response }) =>
    end(response, 200, { 'X-Twice': ['a', 'b'], 'Set-Cookie': ['a=1; Path=/', 'b=2; Path=/'] }, ''),
  text: ({ response, query }) => {
    end(
      response,
      200,
      { 'Content-Type': query.get('type') ?? 'text/plain' },
      Buffer.from(query.get('hex') ?? '', 'hex'),
    );
  },
  bytes: ({ response, rest: [count] }) => end(response, 200, TEXT, 'x'.repeat(Number(count))),
  /** The first n requests get a status, the others 200. */
  flaky: ({ response, before, rest: [times, status], query }) => {
    if (before >= Number(times)) return end(response, 200, TEXT, 'done');
    const after = query.get('after');
    end(response, Number(status), after === null ? TEXT : { ...TEXT, 'Retry-After': after }, 'not yet');
  },
  redirect: ({ response, rest: [status], query }) => {
    end(response, Number(status), { Location: query.getAll('to') }, 'elsewhere');
  },
  /** Leads to itself. */
  loop: ({ request, response }) => end(response, 302, { Location: request.url ?? '' }, ''),
  coded: ({ response, rest: [coding = ''] }) => {
    const content = CODINGS[coding]?.(Buffer.from(`this was ${coding}`)) ?? Buffer.from('as it is');
    end(response, 200, { ...TEXT, 'Content-Encoding': coding }, content);
  },
  garbage: ({ response }) => end(response, 200, { ...TEXT, 'Content-Encoding': 'gzip' }, 'this is no gzip'),
  /** The first n answers have 3 bytes of 10, and end there: at once, or (`?held`) when that is asked for. */
  cut: ({ response, before, rest: [times], query, held }) => {
    if (before >= Number(times)) return end(response, 200, TEXT, 'done');
    const end10 = () => response.socket?.end();
    begin(response, { ...TEXT, 'Content-Length': '10' }, 'abc', query.has('held') ? () => held.add(end10) : end10);
  },
  release: ({ response, held }) => {
    for (const goOn of held) goOn();
    held.clear();
    end(response, 204, {}, '');
  },
  cutChunked: ({ response }) => begin(response, TEXT, 'abc', () => response.socket?.end()),
  /** Each of the first n connections that ask is closed without an answer. */
  dies: ({ response, before, rest: [times] }) => {
    if (before >= Number(times)) return end(response, 200, TEXT, 'done');
    response.socket?.end();
  },
  noHttp: ({ response }) => void response.socket?.end('hello\r\n\r\n'),
  silent: () => {},
  stalls: ({ response }) => begin(response, TEXT, 'abc', () => {}),
  /** Pieces, with a pause between them. */
  drips: ({ response, rest: [count], query }) => {
    let left = Number(count);
    const drip = () => {
      if (left-- <= 0 || response.destroyed) return void response.end();
      response.write('x');
      setTimeout(drip, Number(query.get('pause')));
    };
    response.writeHead(200, TEXT);
    drip();
  },
};

export async function startScenarios(extra: Extra = () => false): Promise<ScenarioServer> {
  const runs = new Map<string, Run>();
  const server = createServer((request, response) => void answer(runs, extra, request, response));
  server.keepAliveTimeout = 500;
  const [port, refused] = [await listen(server), await freePort()];
  return {
    url: `http://127.0.0.1:${port}`,
    otherUrl: `http://localhost:${port}`,
    refusedUrl: `http://127.0.0.1:${refused}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

async function answer(
  runs: Map<string, Run>,
  extra: Extra,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // A client that leaves in the middle is part of many scenarios.
  response.on('error', () => {});
  allowAnyOrigin(request, response);
  if (request.method === 'OPTIONS') return void response.writeHead(204).end();
  const body = await buffer(request).catch(() => null);
  if (body === null || extra(request, response, body)) return;
  const { pathname, searchParams: query } = new URL(request.url ?? '', 'http://host');
  const [, run = '', name = '', ...rest] = pathname.split('/');
  const known = runs.get(run) ?? { log: [], held: new Set() };
  runs.set(run, known);
  const { log, held } = known;
  if (name === 'log') return json(response, log);
  const target = `/${[name, ...rest].join('/')}${query.size === 0 ? '' : `?${query}`}`;
  const before = log.filter((one) => one.target === target).length;
  const seen = { method: request.method ?? '', target, fields: fieldsOf(request), body: body.toString('latin1') };
  log.push(seen);
  const scenario = SCENARIOS[name];
  if (scenario === undefined) return end(response, 404, TEXT, `no scenario ${name}`);
  scenario({ request, response, seen, before, rest, query, held });
}

function allowAnyOrigin({ headers }: IncomingMessage, response: ServerResponse): void {
  response.setHeader('Access-Control-Allow-Origin', headers.origin ?? '*');
  response.setHeader('Access-Control-Allow-Methods', 'GET, HEAD, POST, PUT, PATCH, DELETE');
  response.setHeader('Access-Control-Allow-Headers', headers['access-control-request-headers'] ?? '*');
  response.setHeader('Access-Control-Expose-Headers', '*');
}

function fieldsOf({ rawHeaders }: IncomingMessage): Record<string, string> {
  const fields: Record<string, string> = {};
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    const value = rawHeaders[index + 1] ?? '';
    fields[name] = fields[name] === undefined ? value : `${fields[name]}, ${value}`;
  }
  return fields;
}

function end(
  response: ServerResponse,
  status: number,
  fields: Readonly<Record<string, string | string[]>>,
  content: string | Buffer,
): void {
  const isWithout = status === 204 || status === 304;
  response.writeHead(status, isWithout ? fields : { ...fields, 'Content-Length': Buffer.byteLength(content) });
  response.end(isWithout ? undefined : content);
}

function json(response: ServerResponse, value: unknown): void {
  end(response, 200, { 'Content-Type': 'application/json' }, JSON.stringify(value));
}

function begin(response: ServerResponse, fields: Record<string, string>, content: string, then: () => void): void {
  response.writeHead(200, fields);
  response.write(content, then);
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return portOf(server.address());
}

/** A port that was free just now, above those that the system gives to clients by itself where it can be. */
async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const port = portOf(server.address());
  server.close();
  await once(server, 'close');
  return port;
}

function portOf(address: string | AddressInfo | null): number {
  if (typeof address !== 'object' || address === null) throw new Error('a TCP server has a port');
  return address.port;
}
