/**
 * The responses of one connection, from bytes to meaning: interim heads, the head, content with its framing undone, the end
 * (RFC 9112 sections 4 to 8).
 *
 * Sans-IO. `push` lends it the bytes of one read; `next` is then asked until it answers 'need-bytes'. "I need more" is an
 * ordinary answer, so bytes can come in any pieces. Content is not copied: contentStart to contentEnd lie in the bytes
 * that were pushed, and are borrowed until the next push.
 *
 * ```text
 *   begin(method) ─ 'interim'* ─ 'head' ─ 'content'* ─ 'end' ─ begin(method) ...
 * ```
 */
import { IncompleteRead, ProtocolError } from '../exceptions.js';
import { ChunkedScanner } from './chunked-scanner.js';
import { HeadScanner } from './head-scanner.js';
import type { ResponseLimits } from './limits.js';
import { interpretHead, type ResponseHead } from './response-head.js';

export type ResponseStep = 'need-bytes' | 'interim' | 'head' | 'content' | 'end';

type State = 'ended' | 'head' | 'no-content' | 'length' | 'chunked' | 'close-delimited';

const EMPTY = Buffer.alloc(0);

const STATE_OF_FRAMING = {
  none: 'no-content',
  length: 'length',
  chunked: 'chunked',
  'close-delimited': 'close-delimited',
} as const;

export class ResponseParser {
  /** Whether a byte of the response, interim ones included and be it a wrong one, has come. */
  hasBegun = false;
  /** The head that 'interim' or 'head' announced. */
  head: ResponseHead | null = null;
  contentStart = 0;
  contentEnd = 0;
  /** The trailer section of a chunked response that ended, as field lines; '' if there is none. */
  trailerSection = '';
  /** Bytes of content so far, with the transfer coding undone. */
  contentBytes = 0;

  readonly #limits: ResponseLimits;
  readonly #scanner: HeadScanner;
  /** Null until a response is chunked: most connections never need it, and each that idles would hold it. */
  #chunked: ChunkedScanner | null = null;
  #bytes: Buffer = EMPTY;
  #position = 0;
  #end = 0;
  #state: State = 'ended';
  #method = '';
  #interimCount = 0;
  /** An interim response has said that the connection closes: the final one does not take that back. */
  #isLast = false;
  #remaining = 0;

  constructor(limits: ResponseLimits) {
    this.#limits = limits;
    this.#scanner = new HeadScanner(limits);
  }

  /** Bytes pushed that belong to no response asked for. */
  get leftoverBytes(): number {
    return this.#end - this.#position;
  }

  /** Bytes of content that are still to come; null where the framing does not tell. */
  get expectedBytes(): number | null {
    return this.#state === 'length' ? this.#remaining : null;
  }

  /** Gets ready for the response to a request of this method. */
  begin(method: string): void {
    this.#method = method;
    this.#interimCount = 0;
    this.#isLast = false;
    this.#state = 'head';
    this.#scanner.beginHead();
    this.hasBegun = this.leftoverBytes > 0;
    this.head = null;
    this.trailerSection = '';
    this.contentBytes = 0;
  }

  /** Drops what is left of the last response: nothing is asked for, perhaps for long. */
  forget(): void {
    this.head = null;
    this.trailerSection = '';
    this.#scanner.forget();
  }

  /** Lends the bytes of one read, `length` of them, until the next push. */
  push(bytes: Buffer, length: number): void {
    if (length > 0) this.hasBegun = true;
    this.#bytes = bytes;
    this.#position = 0;
    this.#end = length;
  }

  /**
   * @throws ProtocolError when the bytes are no response, or can be read in two ways; the connection is then of no use
   */
  next(): ResponseStep {
    switch (this.#state) {
      case 'head':
        return this.#nextOfHead();
      case 'length':
        return this.#nextOfLength();
      case 'chunked':
        return this.#nextOfChunked();
      case 'close-delimited':
        return this.#content(this.#end);
      case 'no-content':
        this.#state = 'ended';
        return 'end';
      case 'ended':
        return 'need-bytes';
    }
  }

  /**
   * The peer has closed in an orderly way.
   *
   * @returns whether that ends a response that runs until close
   * @throws ProtocolError if it cuts a response, with an IncompleteRead as its cause if that was in the content
   */
  finish(): boolean {
    switch (this.#state) {
      case 'close-delimited':
        this.#state = 'ended';
        return true;
      case 'length':
      case 'chunked': {
        const cause = new IncompleteRead(this.contentBytes, this.expectedBytes);
        throw new ProtocolError(`Connection broken: ${cause.message}`, { cause });
      }
      case 'head':
        throw new ProtocolError(
          this.hasBegun
            ? 'Remote end closed connection in the middle of the response head'
            : 'Remote end closed connection without response',
        );
      case 'no-content':
      case 'ended':
        return false;
    }
  }

  #nextOfHead(): ResponseStep {
    const after = this.#scanner.scan(this.#bytes, this.#position, this.#end);
    if (after === -1) {
      this.#position = this.#end;
      return 'need-bytes';
    }
    this.#position = after;
    const read = interpretHead(this.#scanner, this.#method);
    const head = this.#isLast ? { ...read, persistent: false } : read;
    this.head = head;
    if (head.status < 200) return this.#interim(head);
    this.#state = STATE_OF_FRAMING[head.framing.kind];
    if (head.framing.kind === 'length') this.#remaining = head.framing.length;
    else if (head.framing.kind === 'chunked') this.#chunkedScanner.begin();
    return 'head';
  }

  #interim(head: ResponseHead): ResponseStep {
    if (head.status === 101)
      throw new ProtocolError('The server switches protocols, and was not asked to (status 101)');
    if (++this.#interimCount > this.#limits.maxInterimResponses) {
      throw new ProtocolError(`The server sent more than ${this.#limits.maxInterimResponses} interim responses`);
    }
    if (!head.persistent) this.#isLast = true;
    this.#scanner.beginHead();
    return 'interim';
  }

  #nextOfLength(): ResponseStep {
    if (this.#remaining === 0) {
      this.#state = 'ended';
      return 'end';
    }
    const step = this.#content(Math.min(this.#end, this.#position + this.#remaining));
    if (step === 'content') this.#remaining -= this.contentEnd - this.contentStart;
    return step;
  }

  #nextOfChunked(): ResponseStep {
    const chunked = this.#chunkedScanner;
    const step = chunked.next(this.#bytes, this.#position, this.#end);
    this.#position = chunked.position;
    if (step === 'content') {
      this.contentStart = chunked.contentStart;
      this.contentEnd = chunked.contentEnd;
      this.contentBytes += this.contentEnd - this.contentStart;
    } else if (step === 'end') {
      this.trailerSection = this.#scanner.text.slice(0, -2);
      this.#state = 'ended';
    }
    return step;
  }

  get #chunkedScanner(): ChunkedScanner {
    this.#chunked ??= new ChunkedScanner(this.#limits, this.#scanner);
    return this.#chunked;
  }

  #content(end: number): ResponseStep {
    if (end === this.#position) return 'need-bytes';
    this.contentStart = this.#position;
    this.contentEnd = end;
    this.contentBytes += end - this.#position;
    this.#position = end;
    return 'content';
  }
}
