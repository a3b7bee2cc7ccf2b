/**
 * Endpoints that tell the client what it sent: /get, /post, /anything, /headers, /ip and their like, and /sink.
 *
 * `echo` builds the members that httpbin answers with; other routes use it too.
 */
import { createHash, randomUUID } from 'node:crypto';
import type { Exchange } from './exchange.js';
import { gather } from './json.js';
import { type BodyMeaning, readBody } from './request-body.js';
import { ANY_METHOD, GET, type Handler, type Route } from './router.js';

/** What httpbin can say of a request. */
export interface Echo extends BodyMeaning {
  readonly args: Record<string, string | string[]>;
  readonly headers: Record<string, string>;
  readonly method: string;
  readonly origin: string;
  readonly url: string;
}

const OF_HEAD = ['args', 'headers', 'origin', 'url'] as const;
const OF_BODY = ['data', 'files', 'form'] as const;

/** What is known without the body, as /get shows it. */
export function echoHead(exchange: Exchange): Pick<Echo, (typeof OF_HEAD)[number]> {
  return {
    args: gather(exchange.query),
    headers: headerTable(exchange),
    origin: exchange.origin,
    url: exchange.url,
  };
}

/** What /delay shows: the request without `json` and `method`. */
export async function echoWithoutJson(
  exchange: Exchange,
): Promise<Pick<Echo, (typeof OF_HEAD)[number] | (typeof OF_BODY)[number]>> {
  const { data, files, form } = await meaning(exchange);
  return { ...echoHead(exchange), data, files, form };
}

/** Field lines by name in Title-Case, as a WSGI server hands them to httpbin; equal names joined by a comma. */
export function headerTable(exchange: Exchange): Record<string, string> {
  const table = new Map<string, string>();
  for (const [name, value] of exchange.fieldLines()) {
    const title = name.toLowerCase().replace(/(?<![a-z])[a-z]/g, (letter) => letter.toUpperCase());
    const earlier = table.get(title);
    table.set(title, earlier === undefined ? value : `${earlier},${value}`);
  }
  return Object.fromEntries(table);
}

async function meaning(exchange: Exchange): Promise<BodyMeaning> {
  return readBody(await exchange.body(), exchange.field('content-type'));
}

const get: Handler = (exchange) => exchange.sendJson(echoHead(exchange));

const post: Handler = async (exchange) => {
  exchange.sendJson({ ...echoHead(exchange), ...(await meaning(exchange)) });
};

const anything: Handler = async (exchange) => {
  exchange.sendJson({ ...echoHead(exchange), ...(await meaning(exchange)), method: exchange.method });
};

const headers: Handler = (exchange) => exchange.sendJson({ headers: headerTable(exchange) });

const ip: Handler = (exchange) => exchange.sendJson({ origin: exchange.origin });

const userAgent: Handler = (exchange) => exchange.sendJson({ 'user-agent': exchange.field('user-agent') ?? null });

const uuid: Handler = (exchange) => exchange.sendJson({ uuid: randomUUID() });

const sink: Handler = async (exchange) => {
  const hash = createHash('sha256');
  let length = 0;
  await exchange.consumeBody((piece) => {
    length += piece.length;
    hash.update(piece);
  });
  exchange.sendJson({ length, sha256: hash.digest('hex') });
};

export const ECHO_ROUTES: readonly Route[] = [
  { path: '/get', methods: GET, summary: 'The query, the fields and the URL of a GET', handler: get },
  { path: '/post', methods: ['POST'], summary: 'What was posted', handler: post },
  { path: '/put', methods: ['PUT'], summary: 'What was put', handler: post },
  { path: '/patch', methods: ['PATCH'], summary: 'What a PATCH carried', handler: post },
  { path: '/delete', methods: ['DELETE'], summary: 'What a DELETE carried', handler: post },
  { path: '/anything', methods: ANY_METHOD, summary: 'Everything about any request', handler: anything },
  { path: '/anything/{rest:path}', methods: ANY_METHOD, summary: 'The same, on any path', handler: anything },
  { path: '/headers', methods: GET, summary: 'The fields of the request', handler: headers },
  { path: '/ip', methods: GET, summary: 'The address of the client', handler: ip },
  { path: '/user-agent', methods: GET, summary: 'The User-Agent of the client', handler: userAgent },
  { path: '/uuid', methods: GET, summary: 'A random UUID', handler: uuid },
  {
    path: '/sink',
    methods: ['POST', 'PUT'],
    summary: 'Takes a body of any size: its length and SHA-256',
    handler: sink,
  },
];
