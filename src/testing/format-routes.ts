/**
 * Endpoints whose point is the form of the answer: documents of several types, content codings, base64, links.
 */
import { isUtf8 } from 'node:buffer';
import { promisify } from 'node:util';
import { brotliCompress, deflate, gzip } from 'node:zlib';
import { headerTable } from './echo-routes.js';
import { prettyJson } from './json.js';
import { redirect } from './redirect-routes.js';
import { Refusal } from './refusal.js';
import { GET, type Handler, type Route } from './router.js';

const ROBOTS = 'User-agent: *\nDisallow: /deny\n';

const DENY = `
     .------------.
    /              \\
   |    S T O P     |
   |                |
    \\              /
     '------------'
           ||
           ||
  YOU SHOULDN'T BE HERE
`;

const HTML = `<!doctype html>
<html lang="en">
  <head><meta charset="utf-8"><title>Moby-Dick</title></head>
  <body>
    <h1>Herman Melville - Moby-Dick</h1>
    <p>Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse, and
    nothing particular to interest me on shore, I thought I would sail about a little and see the watery part of the
    world.</p>
  </body>
</html>
`;

const XML = `<?xml version="1.0" encoding="us-ascii"?>
<slideshow title="Sample slides" date="Any day" author="urllib3">
  <slide type="all"><title>What a pool is for</title></slide>
  <slide type="all">
    <title>Overview</title>
    <item>Why a connection is <em>kept</em></item>
    <item/>
    <item>Who <em>closes</em> it</item>
  </slide>
</slideshow>
`;

const SLIDESHOW = {
  slideshow: {
    author: 'urllib3',
    date: 'Any day',
    slides: [
      { title: 'What a pool is for', type: 'all' },
      { items: ['Why a connection is <em>kept</em>', 'Who <em>closes</em> it'], title: 'Overview', type: 'all' },
    ],
    title: 'Sample slides',
  },
};

const UTF8 = `<h1>Unicode in UTF-8</h1>
<pre>
Two bytes:    é ñ ß Ω Ж ש ع
Three bytes:  € ∑ 漢字 かな 한글 ไทย हिन्दी
Four bytes:   𝄞 𐍈 🦊 👩‍🚀
Box drawing:  ┌─┬─┐ │ │ │ └─┴─┘
Combining:    é å̂ ȩ
</pre>
`;

/** An endpoint that always sends the same text. */
function document(path: string, type: string, text: string, summary: string): Route {
  return { path, methods: GET, summary, handler: (exchange) => exchange.send({ type }, text) };
}

/** An endpoint that tells of the request in a content coding, whatever the client accepts, with a member saying so. */
function coded(path: string, coding: string, member: string, compress: (json: string) => Promise<Buffer>): Route {
  const handler: Handler = async (exchange) => {
    const { method, origin } = exchange;
    const content = await compress(prettyJson({ [member]: true, headers: headerTable(exchange), method, origin }));
    exchange.send({ type: 'application/json', fields: { 'Content-Encoding': coding } }, content);
  };
  return { path, methods: GET, summary: `An answer in the content coding ${coding}`, handler };
}

const base64: Handler = (exchange, params) => {
  const text = params.text('value');
  const bytes = Buffer.from(text, 'base64url');
  if (!/^[\w+/-]*={0,2}$/.test(text) || !isUtf8(bytes)) {
    throw new Refusal(400, 'This is not base64 of UTF-8; try SXQgd29ya3M=');
  }
  exchange.send({ type: 'text/plain; charset=utf-8' }, bytes);
};

const links: Handler = (exchange, params) => redirect(exchange, `/links/${params.integer('n')}/0`);

const linkPage: Handler = (exchange, params) => {
  const count = Math.min(Math.max(1, params.integer('n')), 200);
  const offset = params.integer('offset');
  const items = Array.from({ length: count }, (_, index) =>
    index === offset ? `${index} ` : `<a href='/links/${count}/${index}'>${index}</a> `,
  );
  exchange.send({}, `<html><head><title>Links</title></head><body>${items.join('')}</body></html>`);
};

export const FORMAT_ROUTES: readonly Route[] = [
  document('/html', 'text/html; charset=utf-8', HTML, 'A page in HTML'),
  document('/json', 'application/json', prettyJson(SLIDESHOW), 'A document in JSON'),
  document('/xml', 'application/xml', XML, 'A document in XML'),
  document('/robots.txt', 'text/plain', ROBOTS, 'Rules for robots'),
  document('/deny', 'text/plain', DENY, 'What the rules for robots forbid'),
  document('/encoding/utf8', 'text/html; charset=utf-8', UTF8, 'A page in UTF-8 of many scripts'),
  coded('/gzip', 'gzip', 'gzipped', promisify<string, Buffer>(gzip)),
  coded('/deflate', 'deflate', 'deflated', promisify<string, Buffer>(deflate)),
  coded('/brotli', 'br', 'brotli', promisify<string, Buffer>(brotliCompress)),
  { path: '/base64/{value}', methods: GET, summary: 'What base64url text stands for', handler: base64 },
  { path: '/links/{n:int}', methods: GET, summary: 'A redirect to the first page of n links', handler: links },
  { path: '/links/{n:int}/{offset:int}', methods: GET, summary: 'A page of n links', handler: linkPage },
];
