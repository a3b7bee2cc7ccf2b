/**
 * Endpoints for conditional requests, caching and response fields of the client's choice (RFC 9110 section 13).
 */
import { randomUUID } from 'node:crypto';
import { echoHead } from './echo-routes.js';
import type { AnswerHead } from './exchange.js';
import { gather, prettyJson } from './json.js';
import { Refusal } from './refusal.js';
import { GET, type Handler, type Route } from './router.js';

/** What frames the answer or the connection is not the client's to choose. */
const FRAMING = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'trailer', 'upgrade']);

const cache: Handler = (exchange) => {
  const isConditional = (exchange.field('if-modified-since') ?? exchange.field('if-none-match')) !== undefined;
  if (isConditional) return exchange.send({ status: 304 });
  const fields = { 'Last-Modified': new Date().toUTCString(), ETag: randomUUID().replaceAll('-', '') };
  exchange.sendJson(echoHead(exchange), { fields });
};

const cacheFor: Handler = (exchange, params) => {
  exchange.sendJson(echoHead(exchange), {
    fields: { 'Cache-Control': `public, max-age=${params.integer('seconds')}` },
  });
};

/** The tags of If-Match or If-None-Match without quotes and weakness; httpbin takes them bare, too. */
function entityTags(field: string | undefined): string[] {
  if (field === undefined) return [];
  return field.split(',').map((tag) =>
    tag
      .trim()
      .replace(/^W\//, '')
      .replace(/^"(.*)"$/, '$1'),
  );
}

const etag: Handler = (exchange, params) => {
  const tag = params.text('etag');
  const isNamed = (tags: readonly string[]): boolean => tags.includes(tag) || tags.includes('*');
  const ifMatch = entityTags(exchange.field('if-match'));
  const ifNoneMatch = entityTags(exchange.field('if-none-match'));
  const fields = { ETag: tag };
  if (isNamed(ifNoneMatch)) return exchange.send({ status: 304, fields });
  if (ifNoneMatch.length === 0 && ifMatch.length > 0 && !isNamed(ifMatch)) return exchange.send({ status: 412 });
  exchange.sendJson(echoHead(exchange), { fields });
};

/** The query as response fields, and the fields as JSON: its own length is among them, so that is tried until it fits. */
const responseHeaders: Handler = (exchange) => {
  const asked = gather(exchange.query);
  const { type, fields } = separateType(asked);
  const show = (length: number): string =>
    prettyJson({ 'Content-Length': String(length), 'Content-Type': type, ...fields });
  let length = 0;
  for (let fits = false; !fits; ) {
    const actual = Buffer.byteLength(show(length));
    fits = actual === length;
    length = actual;
  }
  exchange.send({ type, fields }, show(length));
};

function separateType(asked: Record<string, string | string[]>): Required<Pick<AnswerHead, 'type' | 'fields'>> {
  const names = Object.keys(asked);
  const refused = names.find((name) => FRAMING.has(name.toLowerCase()));
  if (refused !== undefined) throw new Refusal(400, `${refused} is for the server to say`);
  const typeName = names.find((name) => name.toLowerCase() === 'content-type');
  if (typeName === undefined) return { type: 'application/json', fields: asked };
  const { [typeName]: type, ...fields } = asked;
  if (typeof type !== 'string') throw new Refusal(400, 'There can be one Content-Type only');
  return { type, fields };
}

export const CACHE_ROUTES: readonly Route[] = [
  { path: '/cache', methods: GET, summary: '304 to a conditional request', handler: cache },
  { path: '/cache/{seconds:int}', methods: GET, summary: 'Cache-Control for so many seconds', handler: cacheFor },
  { path: '/etag/{etag}', methods: GET, summary: 'If-Match and If-None-Match against this tag', handler: etag },
  {
    path: '/response-headers',
    methods: ['GET', 'POST'],
    summary: 'The query as fields of the response',
    handler: responseHeaders,
  },
];
