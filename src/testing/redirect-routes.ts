/**
 * Endpoints that send the client elsewhere: by count, relative or absolute, or to a URL of its choice.
 */
import type { Exchange } from './exchange.js';
import { escapeHtml } from './html.js';
import { finalStatus, Refusal } from './refusal.js';
import { readBody } from './request-body.js';
import { ANY_METHOD, GET, type Handler, type Route } from './router.js';

/** Answers with a redirect and a page that links to it. */
export function redirect(exchange: Exchange, location: string, fields: Record<string, string | string[]> = {}): void {
  const link = escapeHtml(location);
  exchange.send(
    { status: 302, fields: { ...fields, Location: location } },
    `<!doctype html>\n<title>Redirecting...</title>\n<p>Go to <a href="${link}">${link}</a></p>\n`,
  );
}

/** Where the `count`th redirect from the end points: /get at last. */
function nextHop(kind: 'relative' | 'absolute', count: number): string {
  if (count < 1) throw new Refusal(400, 'The number of redirects must be at least 1');
  return count === 1 ? '/get' : `/${kind}-redirect/${count - 1}`;
}

const redirectTimes: Handler = (exchange, params) => {
  const absolute = exchange.query.get('absolute')?.toLowerCase() === 'true';
  const hop = nextHop(absolute ? 'absolute' : 'relative', params.integer('n'));
  redirect(exchange, absolute ? exchange.base + hop : hop);
};

const relativeRedirect: Handler = (exchange, params) => {
  exchange.send({ status: 302, fields: { Location: nextHop('relative', params.integer('n')) } });
};

const absoluteRedirect: Handler = (exchange, params) =>
  redirect(exchange, exchange.base + nextHop('absolute', params.integer('n')));

const redirectTo: Handler = async (exchange) => {
  const { form } = readBody(await exchange.body(), exchange.field('content-type'));
  const argument = (name: string): string | undefined => {
    const sent = form[name];
    return exchange.query.get(name) ?? (typeof sent === 'string' ? sent : undefined);
  };
  const url = argument('url');
  if (url === undefined) throw new Refusal(400, 'The query must name a url');
  const asked = finalStatus(argument('status_code') ?? '302');
  exchange.send({ status: asked >= 300 && asked < 400 ? asked : 302, fields: { Location: url } });
};

export const REDIRECT_ROUTES: readonly Route[] = [
  { path: '/redirect/{n:int}', methods: GET, summary: 'n redirects (?absolute=true)', handler: redirectTimes },
  { path: '/relative-redirect/{n:int}', methods: GET, summary: 'n relative redirects', handler: relativeRedirect },
  { path: '/absolute-redirect/{n:int}', methods: GET, summary: 'n absolute redirects', handler: absoluteRedirect },
  { path: '/redirect-to', methods: ANY_METHOD, summary: 'A redirect to ?url= (&status_code=)', handler: redirectTo },
];
