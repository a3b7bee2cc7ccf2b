/**
 * Endpoints that send bytes, in one piece, in chunks, as lines or as a range: for downloads and streams of all sizes.
 *
 * The bytes come from a small generator, so that the same seed gives the same bytes whatever the endpoint, the length
 * and the chunk size; without a seed they differ each time.
 */
import { randomInt } from 'node:crypto';
import { echoHead } from './echo-routes.js';
import type { Exchange } from './exchange.js';
import { jsonLine } from './json.js';
import { Refusal, wholeNumber } from './refusal.js';
import { GET, type Handler, type Route } from './router.js';
import { boundedMs } from './time-routes.js';

/** The most that /bytes and /stream-bytes send. */
const MAX_BYTES = 100 * 1024 * 1024;
/** Up to here /bytes is one write; above, it is made while it is sent. */
const MAX_WHOLE_BYTES = 100 * 1024;
/** The largest resource that /range serves, and the most lines and the default chunk: httpbin's figures. */
const MAX_RANGE_BYTES = 100 * 1024;
const MAX_LINES = 100;
const DEFAULT_CHUNK_BYTES = 10 * 1024;
const MAX_CHUNK_BYTES = 1024 * 1024;

const OCTETS = 'application/octet-stream';

/** `length` bytes that depend on `seed` only, in pieces of `pieceLength` (mulberry32, four bytes a step). */
export function* seededBytes(seed: number, length: number, pieceLength: number): Generator<Buffer> {
  let state = seed >>> 0;
  let word = 0;
  for (let sent = 0; sent < length; sent += pieceLength) {
    const piece = Buffer.allocUnsafe(Math.min(pieceLength, length - sent));
    for (let index = 0; index < piece.length; index++) {
      if (((sent + index) & 3) === 0) {
        state = (state + 0x6d2b79f5) >>> 0;
        word = Math.imul(state ^ (state >>> 15), state | 1);
        word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
        word ^= word >>> 14;
      }
      piece[index] = word;
      word >>>= 8;
    }
    yield piece;
  }
}

function seedOf({ query }: Exchange): number {
  const seed = query.get('seed');
  return seed === null ? randomInt(2 ** 32) : wholeNumber(seed, 'seed');
}

function chunkSizeOf({ query }: Exchange): number {
  const asked = query.get('chunk_size');
  if (asked === null) return DEFAULT_CHUNK_BYTES;
  return Math.min(Math.max(1, wholeNumber(asked, 'chunk_size')), MAX_CHUNK_BYTES);
}

const bytes: Handler = async (exchange, params) => {
  const length = Math.min(params.integer('n'), MAX_BYTES);
  await exchange.stream({ type: OCTETS, length }, seededBytes(seedOf(exchange), length, MAX_WHOLE_BYTES));
};

const streamBytes: Handler = async (exchange, params) => {
  const length = Math.min(params.integer('n'), MAX_BYTES);
  await exchange.stream({ type: OCTETS }, seededBytes(seedOf(exchange), length, chunkSizeOf(exchange)));
};

const streamLines: Handler = async (exchange, params) => {
  const count = Math.min(params.integer('n'), MAX_LINES);
  const { url, args, headers, origin } = echoHead(exchange);
  const lines = Array.from({ length: count }, (_, id) => jsonLine({ url, args, headers, origin, id }));
  await exchange.stream({ type: 'application/json' }, lines);
};

/** First and last position asked for (RFC 9110 section 14.1.2), `whole` without a usable Range. */
function requestedRange(field: string | undefined, length: number): { first: number; last: number } | 'whole' | 'none' {
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(field ?? '') ?? [];
  if (from === '' && to === '') return 'whole';
  const first = from === '' ? Math.max(0, length - Number(to)) : Number(from);
  const last = from === '' || to === '' ? length - 1 : Math.min(Number(to), length - 1);
  if (from !== '' && to !== '' && Number(from) > Number(to)) return 'whole'; // invalid, and so ignored
  return first > last ? 'none' : { first, last };
}

/** The alphabet over and over: the byte at a position is the same in every range. */
function* alphabet(first: number, last: number, pieceLength: number): Generator<Buffer> {
  for (let start = first; start <= last; start += pieceLength) {
    const piece = Buffer.allocUnsafe(Math.min(pieceLength, last + 1 - start));
    for (let index = 0; index < piece.length; index++) piece[index] = 97 + ((start + index) % 26);
    yield piece;
  }
}

const range: Handler = async (exchange, params) => {
  const length = params.integer('n');
  const fields = { ETag: `range${length}`, 'Accept-Ranges': 'bytes' };
  if (length < 1 || length > MAX_RANGE_BYTES) throw new Refusal(404, `The length must be from 1 to ${MAX_RANGE_BYTES}`);
  const durationMs = boundedMs(exchange.query.get('duration') ?? '0', 'duration');
  const asked = requestedRange(exchange.field('range'), length);
  if (asked === 'none') {
    return exchange.send({ status: 416, fields: { ...fields, 'Content-Range': `bytes */${length}` } });
  }
  const { first, last } = asked === 'whole' ? { first: 0, last: length - 1 } : asked;
  const partial = { status: 206, fields: { ...fields, 'Content-Range': `bytes ${first}-${last}/${length}` } };
  await exchange.stream(
    { type: OCTETS, length: last + 1 - first, ...(asked === 'whole' ? { fields } : partial) },
    paced(exchange, alphabet(first, last, chunkSizeOf(exchange)), durationMs / length),
  );
};

/** The pieces, each after the time that the one before it takes; none after the last, which the client knows to be it. */
async function* paced(exchange: Exchange, pieces: Iterable<Buffer>, pauseMsPerByte: number): AsyncGenerator<Buffer> {
  let dueMs = 0;
  for (const piece of pieces) {
    if (dueMs > 0) await exchange.sleep(dueMs);
    yield piece;
    dueMs = piece.length * pauseMsPerByte;
  }
}

export const BYTES_ROUTES: readonly Route[] = [
  { path: '/bytes/{n:int}', methods: GET, summary: 'n random bytes, 100 MiB at most (?seed=)', handler: bytes },
  {
    path: '/stream-bytes/{n:int}',
    methods: GET,
    summary: 'n random bytes in chunks, without a length (?chunk_size=&seed=)',
    handler: streamBytes,
  },
  { path: '/stream/{n:int}', methods: GET, summary: 'n lines of JSON, 100 at most', handler: streamLines },
  {
    path: '/range/{n:int}',
    methods: GET,
    summary: 'n bytes, or the Range of them (?duration=&chunk_size=)',
    handler: range,
  },
];
