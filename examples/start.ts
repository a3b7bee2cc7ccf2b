/**
 * `npm start`: a first look at the client. It starts the embedded httpbin and makes a few real requests through one
 * PoolManager; `npm start -- URL` makes one GET of that URL instead.
 *
 * What a peer sends is shown with its control characters escaped, because a terminal obeys them.
 */
import { styleText } from 'node:util';
import { type HTTPResponse, PoolManager } from 'urllib3';
import { startHttpbin } from 'urllib3/testing';

type RequestOptions = NonNullable<Parameters<PoolManager['request']>[2]>;
type Style = Parameters<typeof styleText>[0];

const SHOWN_FIELDS = ['content-type', 'content-length', 'content-encoding', 'transfer-encoding', 'location'];
const MAX_LINES = 20;
const MAX_COLUMNS = 110;
const DOWNLOAD_BYTES = 20 * 1024 * 1024;

const inColour = process.stdout.isTTY === true && !process.env.NO_COLOR;
const paint = (style: Style, text: string): string => (inColour ? styleText(style, text) : text);

const [url] = process.argv.slice(2);
const http = new PoolManager();
try {
  if (url === undefined) await tour(http);
  else await show(http, 'GET', url);
} catch (error) {
  console.error(paint('red', `Error: ${oneLine(error)}`));
  process.exitCode = 1;
} finally {
  http.clear();
}

/** Seven requests to an httpbin of our own. */
async function tour(http: PoolManager): Promise<void> {
  await using httpbin = await startHttpbin();
  console.log(`An httpbin of our own listens on ${paint('cyan', httpbin.url)}`);
  const at = (path: string): string => httpbin.url + path;

  heading('A GET');
  await show(http, 'GET', at('/get'));

  heading('Fields of a GET go into the query');
  await show(http, 'GET', at('/get'), { fields: { arg: 'value', q: 'pools & sockets' } });

  heading('Fields of a POST are a form');
  await show(http, 'POST', at('/post'), { fields: { field: 'value' }, encodeMultipart: false });

  heading('JSON there and back');
  await show(http, 'POST', at('/post'), { json: { attribute: 'value', list: [1, 2, 3] } });

  heading('A download, streamed: it is never in memory as a whole');
  await download(http, at(`/stream-bytes/${DOWNLOAD_BYTES}?chunk_size=65536`), DOWNLOAD_BYTES);

  heading('Redirects are followed');
  await show(http, 'GET', at('/redirect/2'));

  heading('Compressed content is decoded');
  await show(http, 'GET', at('/gzip'));

  const { connections, requests } = httpbin;
  const sockets = `${connections} socket${connections === 1 ? '' : 's'}`;
  console.log(`\n${paint('bold', `${requests} requests (redirects counted) over ${sockets}`)}`);
}

/** One request, and what came back. */
async function show(http: PoolManager, method: string, url: string, options: RequestOptions = {}): Promise<void> {
  const startMs = performance.now();
  const response = await http.request(method, url, options);
  const elapsedMs = performance.now() - startMs;
  printHead(method, url, response);
  for (const line of bodyLines(response)) console.log(paint('dim', `    ${line}`));
  console.log(`  ${paint('green', `${response.data.length} bytes in ${elapsedMs.toFixed(1)} ms`)}`);
}

/** One GET whose content is taken piece by piece, with a line that tells how far it is. */
async function download(http: PoolManager, url: string, expectedBytes: number): Promise<void> {
  const startMs = performance.now();
  const response = await http.request('GET', url, { preloadContent: false });
  printHead('GET', url, response);
  let received = 0;
  for await (const piece of response.stream(65_536)) {
    received += piece.length;
    if (process.stdout.isTTY) process.stdout.write(`\r${progress(received, expectedBytes, startMs)}`);
  }
  console.log(`${process.stdout.isTTY ? '\r' : ''}${progress(received, expectedBytes, startMs)}`);
}

function progress(received: number, expectedBytes: number, startMs: number): string {
  const mebibytes = received / 1024 / 1024;
  const share = Math.min(1, received / expectedBytes);
  const bar = '#'.repeat(Math.round(share * 30)).padEnd(30, '.');
  const perSecond = mebibytes / Math.max(0.001, (performance.now() - startMs) / 1000);
  const figures = `${mebibytes.toFixed(1)} MiB, ${perSecond.toFixed(0)} MiB/s`;
  return `  ${paint('green', `[${bar}] ${String(Math.round(share * 100)).padStart(3)} %  ${figures}`)}`;
}

function heading(text: string): void {
  console.log(`\n${paint('bold', text)}`);
}

function printHead(method: string, url: string, response: HTTPResponse): void {
  console.log(`  ${paint('cyan', `${method} ${escapeControls(url)}`)}`);
  for (const { status, redirectLocation } of response.retries?.history ?? []) {
    console.log(`  ${paint('yellow', `${status} -> ${escapeControls(String(redirectLocation))}`)}`);
  }
  const version = response.version === 20 ? 'HTTP/2' : `HTTP/${response.version / 10}`.replace(/\/1$/, '/1.0');
  const statusLine = `${version} ${response.status} ${escapeControls(response.reason ?? '')}`;
  console.log(`  ${paint(response.status < 400 ? 'green' : 'red', statusLine)}`);
  for (const name of SHOWN_FIELDS) {
    const value = response.headers.get(name);
    if (typeof value === 'string') console.log(`  ${name}: ${escapeControls(value)}`);
  }
}

/** The content as text, JSON indented, in lines that fit a screen; other content is only counted. */
function bodyLines({ data, headers }: HTTPResponse): string[] {
  const type = String(headers.get('content-type') ?? '');
  if (data.length === 0 || !/^text\/|json|xml|javascript|^$/i.test(type)) return [];
  const text = /json/i.test(type) ? indented(data.toString('utf8')) : data.toString('utf8');
  const lines = text.trimEnd().split(/\r?\n/);
  const shown = lines.slice(0, MAX_LINES).map((line) => {
    const safe = escapeControls(line);
    return safe.length > MAX_COLUMNS ? `${safe.slice(0, MAX_COLUMNS)}...` : safe;
  });
  return lines.length > MAX_LINES ? [...shown, `... (${lines.length - MAX_LINES} more lines)`] : shown;
}

function indented(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text; // announced as JSON, but is none: shown as it came
  }
}

function escapeControls(text: string): string {
  return text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function oneLine(error: unknown): string {
  const message = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return escapeControls(message.replace(/\s+/g, ' '));
}
