/**
 * Endpoints behind Basic (RFC 7617) and Bearer (RFC 6750) authentication. Digest: digest-routes.ts.
 */
import type { Exchange } from './exchange.js';
import { GET, type Handler, type PathParams, type Route } from './router.js';
import { statusAnswer } from './status-routes.js';

/** The bytes that `text` stands for in each charset that clients use for credentials. */
export function credentialBytes(text: string): Buffer[] {
  return [Buffer.from(text, 'utf8'), Buffer.from(text, 'latin1')];
}

function hasBasicCredentials(exchange: Exchange, params: PathParams): boolean {
  const encoded = /^basic +([\w+/-]+={0,2})$/i.exec(exchange.field('authorization') ?? '')?.[1];
  if (encoded === undefined) return false;
  const given = Buffer.from(encoded, 'base64');
  return credentialBytes(`${params.text('user')}:${params.text('password')}`).some((wanted) => wanted.equals(given));
}

/** An endpoint that refuses with `refusal` whoever does not know the user and password of the path. */
function behindBasic(refusal: number): Handler {
  return (exchange, params) => {
    if (!hasBasicCredentials(exchange, params)) return statusAnswer(exchange, refusal);
    exchange.sendJson({ authenticated: true, user: params.text('user') });
  };
}

const bearer: Handler = (exchange) => {
  const token = /^Bearer (.+)$/.exec(exchange.field('authorization') ?? '')?.[1];
  if (token === undefined) return exchange.send({ status: 401, fields: { 'WWW-Authenticate': 'Bearer' } });
  exchange.sendJson({ authenticated: true, token });
};

export const AUTH_ROUTES: readonly Route[] = [
  { path: '/basic-auth/{user}/{password}', methods: GET, summary: 'Basic authentication', handler: behindBasic(401) },
  {
    path: '/hidden-basic-auth/{user}/{password}',
    methods: GET,
    summary: 'The same, but 404 instead of a challenge',
    handler: behindBasic(404),
  },
  { path: '/bearer', methods: GET, summary: 'Bearer authentication, with any token', handler: bearer },
];
