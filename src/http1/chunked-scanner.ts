/**
 * The chunked transfer coding of a response, undone (RFC 9112 section 7.1).
 *
 * A machine over bytes like head-scanner.ts, with the same promise: it can stop between any two bytes, and a bad byte is
 * refused when it comes. It says where content lies in the bytes it was given and copies nothing.
 *
 * Stricter than the RFC asks of a client: no blank around a chunk size or its extensions, no bare LF anywhere, chunk
 * extensions must follow their grammar, and those of a whole body may not be much longer than its content.
 */
import { InvalidChunkLength, ProtocolError } from '../exceptions.js';
import { excerpt } from '../excerpt.js';
import { CR, FIELD_VALUE_BYTE, HEX_VALUE, LF, TOKEN_BYTE } from './grammar.js';
import type { HeadScanner } from './head-scanner.js';
import type { ResponseLimits } from './limits.js';

/** 'need-bytes': all given bytes are used; 'content': between contentStart and contentEnd; 'end': the body ended. */
export type ChunkedStep = 'need-bytes' | 'content' | 'end';

type State = FramingState | 'data' | 'trailers';

type FramingState =
  | 'size'
  | 'extension-name-start'
  | 'extension-name'
  | 'extension-value-start'
  | 'extension-token'
  | 'extension-quoted'
  | 'extension-escaped'
  | 'extension-end'
  | 'size-line-feed'
  | 'data-end'
  | 'data-line-feed';

const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

const MAX_SIZE_DIGITS = 16;

/** Extension bytes that a body may carry beyond as many as it has content: no server in use sends any. */
const EXTENSION_ALLOWANCE_BYTES = 16_384;

export class ChunkedScanner {
  contentStart = 0;
  contentEnd = 0;
  /** The first byte not used yet. */
  position = 0;

  readonly #limits: ResponseLimits;
  readonly #trailers: HeadScanner;
  #state: State = 'size';
  #size = 0;
  #digits = '';
  #lineBytes = 0;
  #extensionBytes = 0;
  #contentBytes = 0;

  /** @param trailers - reads the trailer section; its text is the trailers when the body has ended */
  constructor(limits: ResponseLimits, trailers: HeadScanner) {
    this.#limits = limits;
    this.#trailers = trailers;
  }

  begin(): void {
    this.#state = 'size';
    this.#size = 0;
    this.#digits = '';
    this.#extensionBytes = 0;
    this.#contentBytes = 0;
  }

  /**
   * Goes on with `bytes` from `start` to before `end`, up to the next piece of content or the end of the body.
   *
   * @throws ProtocolError at the first byte that may not stand where it is
   */
  next(bytes: Buffer, start: number, end: number): ChunkedStep {
    let index = start;
    while (index < end) {
      const state = this.#state;
      if (state === 'data') {
        this.contentStart = index;
        this.contentEnd = Math.min(end, index + this.#size);
        const length = this.contentEnd - index;
        this.#size -= length;
        this.#contentBytes += length;
        if (this.#size === 0) this.#state = 'data-end';
        this.position = this.contentEnd;
        return 'content';
      }
      if (state === 'trailers') {
        const after = this.#trailers.scan(bytes, index, end);
        this.position = after === -1 ? end : after;
        return after === -1 ? 'need-bytes' : 'end';
      }
      this.#takeFramingByte(state, bytes[index] as number); // index < end <= bytes.length
      index++;
    }
    this.position = end;
    return 'need-bytes';
  }

  #takeFramingByte(state: FramingState, byte: number): void {
    switch (state) {
      case 'size':
        return this.#takeSizeByte(byte);
      case 'extension-name-start':
        if (TOKEN_BYTE[byte] !== 1) this.#refuseExtension(byte);
        this.#state = 'extension-name';
        return this.#countExtensionByte();
      case 'extension-name':
        if (byte === EQUALS) this.#state = 'extension-value-start';
        else if (TOKEN_BYTE[byte] !== 1) return this.#endExtension(byte);
        return this.#countExtensionByte();
      case 'extension-value-start':
        if (byte === QUOTE) this.#state = 'extension-quoted';
        else if (TOKEN_BYTE[byte] === 1) this.#state = 'extension-token';
        else this.#refuseExtension(byte);
        return this.#countExtensionByte();
      case 'extension-token':
        if (TOKEN_BYTE[byte] !== 1) return this.#endExtension(byte);
        return this.#countExtensionByte();
      case 'extension-quoted':
        if (byte === QUOTE) this.#state = 'extension-end';
        else if (byte === BACKSLASH) this.#state = 'extension-escaped';
        else if (FIELD_VALUE_BYTE[byte] !== 1) this.#refuseExtension(byte);
        return this.#countExtensionByte();
      case 'extension-escaped':
        if (FIELD_VALUE_BYTE[byte] !== 1) this.#refuseExtension(byte);
        this.#state = 'extension-quoted';
        return this.#countExtensionByte();
      case 'extension-end':
        return this.#endExtension(byte);
      case 'size-line-feed':
        if (byte !== LF) this.#refuse('a chunk-size line that does not end in CRLF', byte);
        return this.#beginData();
      case 'data-end':
        if (byte !== CR) this.#refuse('chunk data that is not followed by CRLF', byte);
        this.#state = 'data-line-feed';
        return;
      default:
        state satisfies 'data-line-feed'; // the last one: a forgotten state would not compile
        if (byte !== LF) this.#refuse('chunk data that is not followed by CRLF', byte);
        this.#state = 'size';
        this.#digits = '';
    }
  }

  /** `parseInt` would take a sign, "0x" and whatever follows. */
  #takeSizeByte(byte: number): void {
    if (HEX_VALUE[byte] !== 255) {
      this.#digits += String.fromCharCode(byte);
      if (this.#digits.length > MAX_SIZE_DIGITS) this.#refuseSize();
      return;
    }
    if (this.#digits === '' || (byte !== CR && byte !== SEMICOLON)) {
      this.#digits += String.fromCharCode(byte);
      this.#refuseSize();
    }
    this.#size = Number.parseInt(this.#digits, 16);
    if (!Number.isSafeInteger(this.#size)) this.#refuseSize();
    this.#state = byte === CR ? 'size-line-feed' : 'extension-name-start';
    this.#lineBytes = this.#digits.length + 1;
  }

  #endExtension(byte: number): void {
    if (byte === CR) {
      this.#state = 'size-line-feed';
      return;
    }
    if (byte !== SEMICOLON) this.#refuseExtension(byte);
    this.#state = 'extension-name-start';
    this.#countExtensionByte();
  }

  #beginData(): void {
    if (this.#size > 0) {
      this.#state = 'data';
      return;
    }
    this.#state = 'trailers';
    this.#trailers.beginTrailers();
  }

  #countExtensionByte(): void {
    if (++this.#lineBytes > this.#limits.maxChunkLineBytes) {
      throw new ProtocolError(`A chunk-size line is longer than ${this.#limits.maxChunkLineBytes} bytes`);
    }
    if (++this.#extensionBytes > EXTENSION_ALLOWANCE_BYTES + this.#contentBytes) {
      throw new ProtocolError('The chunk extensions of the response are longer than its content');
    }
  }

  #refuseSize(): never {
    const cause = new InvalidChunkLength(this.#digits);
    throw new ProtocolError(`Malformed response: a chunk begins with ${excerpt(this.#digits)}, which is no size`, {
      cause,
    });
  }

  #refuseExtension(byte: number): never {
    this.#refuse('a character in a chunk extension that is not allowed there', byte);
  }

  #refuse(what: string, byte: number): never {
    throw new ProtocolError(`Malformed response: ${what} (${excerpt(String.fromCharCode(byte))})`);
  }
}
