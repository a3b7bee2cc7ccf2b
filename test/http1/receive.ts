/**
 * Plays a response to the parser in pieces, and writes down what it says of it.
 *
 * The pieces come in one buffer that is used again, with letters or line ends behind each piece, as a read buffer holds
 * the rest of former reads: a parser that looks past the end of a piece, or at bytes it was lent before, sees the wrong ones.
 */
import { isDeepStrictEqual } from 'node:util';
import { DEFAULT_RESPONSE_LIMITS, type ResponseLimits } from '../../src/http1/limits.js';
import type { ResponseHead } from '../../src/http1/response-head.js';
import { ResponseParser } from '../../src/http1/response-parser.js';

export interface Received {
  readonly interims: readonly ResponseHead[];
  readonly head: ResponseHead | null;
  /** In latin1, the pieces joined. */
  readonly content: string;
  readonly trailerSection: string;
  /** 'complete', 'waiting' for more bytes, or the error that refused them. */
  readonly outcome: 'complete' | 'waiting' | Error;
  /** The bytes that belong to no response. */
  readonly leftover: string;
}

export interface ReceiveOptions {
  readonly method?: string;
  readonly limits?: Partial<ResponseLimits>;
  /** The peer closes after the last piece. */
  readonly closes?: boolean;
}

/** Reads one response out of `pieces` (latin1). */
export function receive(pieces: readonly string[], options: ReceiveOptions = {}): Received {
  const { method = 'GET', limits, closes = false } = options;
  const parser = new ResponseParser({ ...DEFAULT_RESPONSE_LIMITS, ...limits });
  parser.begin(method);
  return receiveNext(parser, pieces, closes);
}

/** Reads the response that `parser` was made ready for. */
export function receiveNext(parser: ResponseParser, pieces: readonly string[], closes = false): Received {
  const interims: ResponseHead[] = [];
  const content: string[] = [];
  let head: ResponseHead | null = null;
  let outcome: Received['outcome'] = 'waiting';
  let leftover = '';
  const longest = pieces.reduce((length, piece) => Math.max(length, piece.length), 0);
  const buffer = Buffer.alloc(longest + 4);
  try {
    for (const [index, piece] of pieces.entries()) {
      buffer.write(piece, 'latin1');
      buffer.write(index % 2 === 0 ? 'xxxx' : '\r\n\r\n', piece.length, 'latin1');
      parser.push(buffer, piece.length);
      for (let step = parser.next(); step !== 'need-bytes'; step = parser.next()) {
        if (step === 'interim' && parser.head !== null) interims.push(parser.head);
        if (step === 'head') head = parser.head;
        if (step === 'content') content.push(buffer.toString('latin1', parser.contentStart, parser.contentEnd));
        if (step === 'end') outcome = 'complete';
      }
      leftover += piece.slice(piece.length - parser.leftoverBytes);
    }
    if (closes && parser.finish()) outcome = 'complete';
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    outcome = error;
  }
  return { interims, head, content: content.join(''), trailerSection: parser.trailerSection, outcome, leftover };
}

/**
 * The ways to cut a wire: whole, byte by byte, at all line borders at once, with empty reads between, and in two at every
 * offset.
 */
export function shapesOf(wire: string): readonly (readonly string[])[] {
  const lines = wire.split(/(?<=\n)/);
  const halves = Array.from({ length: wire.length + 1 }, (_, at) => [wire.slice(0, at), wire.slice(at)]);
  return [[wire], [...wire], lines, lines.flatMap((line) => ['', line]), ...halves];
}

/** Reads one response out of `wire` in all its shapes, and gives the reading if they have one. */
export function receiveInAllShapes(wire: string, options: ReceiveOptions = {}): Received {
  const whole = receive([wire], options);
  const oddShape = shapesOf(wire).find((pieces) => !isDeepStrictEqual(receive(pieces, options), whole));
  if (oddShape === undefined) return whole;
  throw new Error(`Not read as the whole is: ${JSON.stringify(oddShape)}`);
}
