/**
 * Where a head (status line and fields) or a trailer section ends, and that every byte before it is allowed there
 * (RFC 9112 sections 4 and 5).
 *
 * A machine that takes one byte after the other and can stop between any two, so that a bad byte is refused when it comes,
 * not when its line or the connection ends. It keeps the text and where its lines are, and gives them no meaning:
 * response-head.ts does.
 *
 * Stricter than RFC 9112 allows a client to be: a bare CR or LF, obs-fold, and every control byte but HTAB are refused.
 *
 * HOT: one pass over bytes, inner loops over tables; `npm run bench` small GET. The plain version that it must equal is in
 * the test.
 */
import { ProtocolError } from '../exceptions.js';
import { excerpt } from '../excerpt.js';
import { CR, FIELD_VALUE_BYTE, LF, SP, TOKEN_BYTE } from './grammar.js';
import type { ResponseLimits } from './limits.js';

/** A complete section: its text (latin1), and where the lines are in it. Valid until the next section begins. */
export interface ScannedSection {
  readonly text: string;
  /** Three numbers a line: where its name begins, where its colon is, where its CRLF is. */
  readonly lines: readonly number[];
  readonly lineCount: number;
  /** Where the first field line begins: after the status line. */
  readonly fieldsStart: number;
}

const HTTP_1 = Uint8Array.from('HTTP/1.', (character) => character.charCodeAt(0));
const COLON = 0x3a;
const ZERO = 0x30;
const NINE = 0x39;

type State =
  | 'version'
  | 'minor-version'
  | 'version-end'
  | 'status'
  | 'status-end'
  | 'reason'
  | 'status-line-feed'
  | 'line-start'
  | 'name'
  | 'value'
  | 'line-feed'
  | 'last-line-feed';

export class HeadScanner implements ScannedSection {
  text = '';
  /** An ordinary array: a typed one of useful size costs every idle connection 1 kB. */
  readonly lines: number[] = [];
  lineCount = 0;
  fieldsStart = 0;

  readonly #limits: ResponseLimits;
  #state: State = 'version';
  /** How many bytes of the section came in former pieces; they are in `text`. */
  #before = 0;
  #digits = 0;

  constructor(limits: ResponseLimits) {
    this.#limits = limits;
  }

  beginHead(): void {
    this.#begin('version');
  }

  /** Drops the last section, and the room for its lines. */
  forget(): void {
    this.text = '';
    this.lines.length = 0;
    this.lineCount = 0;
  }

  beginTrailers(): void {
    this.#begin('line-start');
  }

  /**
   * Goes on with `bytes` from `start` to before `end`.
   *
   * @returns the index after the section's end, or -1 if it goes on in the next piece
   * @throws ProtocolError at the first byte that may not stand where it is
   */
  scan(bytes: Buffer, start: number, end: number): number {
    const offset = this.#before - start;
    let state = this.#state;
    let index = start;
    while (index < end) {
      const byte = bytes[index] as number; // index < end <= bytes.length
      switch (state) {
        case 'value':
          if (FIELD_VALUE_BYTE[byte] === 1) {
            do index++;
            while (index < end && FIELD_VALUE_BYTE[bytes[index] as number] === 1);
            continue;
          }
          if (byte !== CR) this.#refuse('a control character in a field value', byte);
          this.lines[this.lineCount * 3 + 2] = index + offset;
          this.lineCount++;
          state = 'line-feed';
          break;
        case 'name':
          if (TOKEN_BYTE[byte] === 1) {
            do index++;
            while (index < end && TOKEN_BYTE[bytes[index] as number] === 1);
            continue;
          }
          if (byte !== COLON) this.#refuse('a character in a field name that is not allowed there', byte);
          this.lines[this.lineCount * 3 + 1] = index + offset;
          state = 'value';
          break;
        case 'line-feed':
          if (byte !== LF) this.#refuse('a CR without LF', byte);
          state = 'line-start';
          break;
        case 'line-start':
          if (byte === CR) {
            state = 'last-line-feed';
            break;
          }
          if (TOKEN_BYTE[byte] !== 1) this.#refuse('a line that begins with no field name', byte);
          this.#beginLine(index + offset);
          state = 'name';
          break;
        case 'last-line-feed':
          if (byte !== LF) this.#refuse('a CR without LF', byte);
          this.#keep(bytes, start, index + 1);
          return index + 1;
        case 'version': {
          const position = index + offset;
          if (byte !== HTTP_1[position]) this.#refuse('a status line that does not begin with "HTTP/1."', byte);
          if (position === HTTP_1.length - 1) state = 'minor-version';
          break;
        }
        case 'minor-version':
          if (byte !== ZERO && byte !== ZERO + 1) this.#refuse('a version other than HTTP/1.0 and HTTP/1.1', byte);
          state = 'version-end';
          break;
        case 'version-end':
          if (byte !== SP) this.#refuse('no blank after the version', byte);
          state = 'status';
          break;
        case 'status':
          if (byte < ZERO || byte > NINE || (this.#digits === 0 && byte === ZERO)) {
            this.#refuse('a status that is not three digits from 100', byte);
          }
          if (++this.#digits === 3) state = 'status-end';
          break;
        case 'status-end':
          // RFC 9112 section 4 wants the blank even before an empty reason; many servers leave both out.
          if (byte === SP) state = 'reason';
          else if (byte === CR) state = 'status-line-feed';
          else this.#refuse('a status that is not three digits', byte);
          break;
        case 'reason':
          if (byte === CR) state = 'status-line-feed';
          else if (FIELD_VALUE_BYTE[byte] !== 1) this.#refuse('a control character in the reason phrase', byte);
          break;
        default:
          state satisfies 'status-line-feed'; // the last one: a forgotten state would not compile
          if (byte !== LF) this.#refuse('a CR without LF', byte);
          this.fieldsStart = index + 1 + offset;
          state = 'line-start';
      }
      index++;
    }
    this.#state = state;
    this.#keep(bytes, start, end);
    return -1;
  }

  #begin(state: State): void {
    this.#state = state;
    this.#before = 0;
    this.#digits = 0;
    this.text = '';
    this.lineCount = 0;
    this.fieldsStart = 0;
  }

  #beginLine(position: number): void {
    if (this.lineCount >= this.#limits.maxFields) {
      throw new ProtocolError(`The response has more than ${this.#limits.maxFields} fields in one section`);
    }
    this.lines[this.lineCount * 3] = position;
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    this.#before += end - start;
    if (this.#before > this.#limits.maxHeadBytes) {
      throw new ProtocolError(
        `The response's head or trailer section is longer than ${this.#limits.maxHeadBytes} bytes`,
      );
    }
    this.text += bytes.toString('latin1', start, end);
  }

  #refuse(what: string, byte: number): never {
    throw new ProtocolError(`Malformed response: ${what} (${excerpt(String.fromCharCode(byte))})`);
  }
}
