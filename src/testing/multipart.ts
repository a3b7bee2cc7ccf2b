/**
 * A strict reader of multipart/form-data (RFC 7578, RFC 2046 section 5.1, and the WHATWG rules for names).
 *
 * A test peer must find exactly what was sent, so whatever browsers and good clients never produce is an error here,
 * not a guess: no preamble, no part without a name, no bare LF, no missing end, nothing after the end. In a quoted name
 * `%22`, `%0D` and `%0A` are decoded and a backslash is only a backslash, as browsers write it; `name*` and `filename*`
 * (RFC 8187) are read as well, because older clients send them. One pass with `indexOf`: linear in the body.
 */
import { Refusal } from './refusal.js';

/** One part; `filename` is what makes it a file. */
export interface Part {
  readonly name: string;
  readonly filename?: string;
  readonly contentType?: string;
  readonly content: Buffer;
}

/** The body is not multipart/form-data as the RFCs have it; the message says where. Told to the client as 400. */
export class MultipartError extends Refusal {
  constructor(message: string) {
    super(400, message);
    this.name = 'MultipartError';
  }
}

/** What a field like `form-data; name="a"` holds: its value, and its parameters by lower-case name. */
export interface ParameterizedValue {
  readonly value: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const CRLF = '\r\n';

/** `; name=token` or `; name="text"`; an attribute may end in `*` (RFC 8187). */
const PARAMETER = /[ \t]*;[ \t]*([!#$%&'*+.^_`|~\w-]+)=(?:"([^"]*)"|([^\s";,]+))/y;

/** RFC 2046: 1 to 70 characters, the last not a space. */
const BOUNDARY = /^[\w'()+,./:=? -]{0,69}[\w'()+,./:=?-]$/;

/** All parts of `body`, in order. */
export function parseMultipart(body: Buffer, boundary: string): Part[] {
  if (!BOUNDARY.test(boundary)) throw new MultipartError('The boundary is not one of RFC 2046');
  const delimiter = Buffer.from(`${CRLF}--${boundary}`);
  if (!body.subarray(0, delimiter.length - 2).equals(delimiter.subarray(2))) {
    throw new MultipartError('The body does not begin with the boundary');
  }
  const parts: Part[] = [];
  let position = delimiter.length - 2;
  while (startsWith(body, position, CRLF)) {
    const start = position + 2;
    const end = body.indexOf(delimiter, start);
    if (end < 0) throw new MultipartError(`Part ${parts.length + 1} has no end`);
    parts.push(parsePart(body.subarray(start, end)));
    position = end + delimiter.length;
  }
  if (!startsWith(body, position, '--')) throw new MultipartError('A boundary is followed by neither CRLF nor "--"');
  const rest = body.subarray(position + 2).toString('latin1');
  if (rest !== '' && rest !== CRLF) throw new MultipartError('There are bytes after the end');
  return parts;
}

/** Splits `value; name=text; name="text"`; undefined if it is not of that form or a name comes twice. */
export function parseParameters(text: string): ParameterizedValue | undefined {
  const [value = ''] = text.split(';', 1);
  const parameters = new Map<string, string>();
  let position = value.length;
  while (position < text.trimEnd().length) {
    PARAMETER.lastIndex = position;
    const found = PARAMETER.exec(text);
    const name = found?.[1]?.toLowerCase();
    if (found === null || name === undefined || parameters.has(name)) return undefined;
    parameters.set(name, found[2] ?? found[3] ?? '');
    position = PARAMETER.lastIndex;
  }
  return { value: value.trim().toLowerCase(), parameters };
}

function parsePart(bytes: Buffer): Part {
  // A part without fields would begin with the empty line itself, but Content-Disposition is required.
  const headEnd = bytes.indexOf(CRLF + CRLF);
  if (headEnd < 0) throw new MultipartError('A part has no empty line after its fields');
  const fields = parseFields(bytes.subarray(0, headEnd).toString('utf8'));
  const disposition = parseParameters(fields.get('content-disposition') ?? '');
  if (disposition?.value !== 'form-data') throw new MultipartError('A part has no Content-Disposition: form-data');
  const name = parameterText(disposition, 'name');
  if (name === undefined) throw new MultipartError('A part has no name');
  const filename = parameterText(disposition, 'filename');
  const contentType = fields.get('content-type');
  return {
    name,
    ...(filename === undefined ? {} : { filename }),
    ...(contentType === undefined ? {} : { contentType }),
    content: bytes.subarray(headEnd + 4),
  };
}

function parseFields(head: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of head.split(CRLF)) {
    const found = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([^\r\n\0]*)$/.exec(line);
    const name = found?.[1]?.toLowerCase();
    if (name === undefined || fields.has(name)) {
      throw new MultipartError(`A part has a malformed or repeated field: ${JSON.stringify(line.slice(0, 80))}`);
    }
    fields.set(name, found?.[2]?.trimEnd() ?? '');
  }
  return fields;
}

function parameterText({ parameters }: ParameterizedValue, name: string): string | undefined {
  const extended = parameters.get(`${name}*`);
  if (extended !== undefined) return decodeExtended(extended);
  return parameters.get(name)?.replace(/%22|%0D|%0A/gi, decodeURIComponent);
}

/** RFC 8187: `utf-8'language'percent-encoded`. */
function decodeExtended(text: string): string {
  const encoded = /^utf-8'[\w-]*'(.*)$/i.exec(text)?.[1];
  try {
    if (encoded !== undefined) return decodeURIComponent(encoded);
  } catch {
    // Reported below, like a value of another form.
  }
  throw new MultipartError(`A parameter is not in the form of RFC 8187: ${JSON.stringify(text.slice(0, 80))}`);
}

function startsWith(bytes: Buffer, position: number, text: string): boolean {
  return bytes.toString('latin1', position, position + text.length) === text;
}
