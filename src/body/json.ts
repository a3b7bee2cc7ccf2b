/**
 * A value as a JSON body (RFC 8259): UTF-8, without blanks. What JSON cannot say is an error here and not an empty body.
 */
import { describe } from '../excerpt.js';
import { type BodySource, bytesSource } from './content.js';

/**
 * The body for the option `json` of a request.
 *
 * @throws TypeError for undefined, functions and symbols, cycles, BigInt, and what is too deep or too long
 */
export function jsonBody(value: unknown): BodySource {
  const text = stringify(value);
  if (text === undefined) throw cannotEncode(describe(value), 'JSON has no such value');
  return bytesSource(Buffer.from(text), 'application/json');
}

function stringify(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    // Only the runtime's own complaints are translated: what a caller's toJSON() throws is the caller's.
    if (!(cause instanceof TypeError || cause instanceof RangeError)) throw cause;
    // The runtime draws a cycle over several lines; the first says what it is.
    throw cannotEncode(describe(value), cause.message.replace(/\n.*/s, ''), cause);
  }
}

function cannotEncode(shown: string, why: string, cause?: unknown): TypeError {
  const options = cause === undefined ? undefined : { cause };
  return new TypeError(`Cannot send ${shown} as json: ${why}`, options);
}
