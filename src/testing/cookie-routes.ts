/**
 * Endpoints that show, set and delete cookies (RFC 6265).
 *
 * A value with characters that a cookie cannot hold is put in quotes, those bytes as `\ooo` in octal, as the servers
 * that httpbin runs on do it; /cookies undoes that.
 */
import type { Exchange } from './exchange.js';
import { redirect } from './redirect-routes.js';
import { Refusal } from './refusal.js';
import { GET, type Handler, type Route } from './router.js';

const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/;
/** cookie-octet of RFC 6265 section 4.1.1. */
const PLAIN_VALUE = /^[!#-+\--:<-[\]-~]*$/;

/** The cookies that the client sent; of equal names the first. */
export function requestCookies(field: string | undefined): Record<string, string> {
  const cookies = new Map<string, string>();
  for (const pair of (field ?? '').split(';')) {
    const equals = pair.indexOf('=');
    const name = pair.slice(0, equals).trim();
    if (equals < 0 || name === '' || cookies.has(name)) continue;
    cookies.set(name, unquote(pair.slice(equals + 1).trim()));
  }
  return Object.fromEntries(cookies);
}

function quote(value: string): string {
  if (PLAIN_VALUE.test(value)) return value;
  const bytes = Buffer.from(value).toString('latin1');
  const escaped = bytes.replace(/[^ -~]|[",;\\]/g, (unit) => `\\${unit.charCodeAt(0).toString(8).padStart(3, '0')}`);
  return `"${escaped}"`;
}

function unquote(text: string): string {
  if (!/^".*"$/.test(text)) return text;
  const bytes = text
    .slice(1, -1)
    .replace(/\\([0-3][0-7]{2})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function setCookies(exchange: Exchange, cookies: Iterable<readonly [string, string]>): void {
  const secure = exchange.isSecure ? '; Secure' : '';
  sendCookies(exchange, cookies, (value) => `${quote(value)}${secure}; Path=/`);
}

function sendCookies(
  exchange: Exchange,
  cookies: Iterable<readonly [string, string]>,
  rest: (value: string) => string,
): void {
  const lines = [...cookies].map(([name, value]) => {
    if (!TOKEN.test(name)) throw new Refusal(400, `This cannot be the name of a cookie: ${JSON.stringify(name)}`);
    return `${name}=${rest(value)}`;
  });
  redirect(exchange, '/cookies', { 'Set-Cookie': lines });
}

const show: Handler = (exchange) => exchange.sendJson({ cookies: requestCookies(exchange.field('cookie')) });

const setFromQuery: Handler = (exchange) => setCookies(exchange, exchange.query);

const setFromPath: Handler = (exchange, params) => setCookies(exchange, [[params.text('name'), params.text('value')]]);

const remove: Handler = (exchange) =>
  sendCookies(exchange, exchange.query, () => '; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/');

export const COOKIE_ROUTES: readonly Route[] = [
  { path: '/cookies', methods: GET, summary: 'The cookies of the request', handler: show },
  { path: '/cookies/set', methods: GET, summary: 'Sets cookies from the query', handler: setFromQuery },
  { path: '/cookies/set/{name}/{value}', methods: GET, summary: 'Sets one cookie', handler: setFromPath },
  { path: '/cookies/delete', methods: GET, summary: 'Deletes the cookies that the query names', handler: remove },
];
