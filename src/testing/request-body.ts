/**
 * What a request body means to httpbin: a form, files, or plain data that may be JSON.
 *
 * `form` for application/x-www-form-urlencoded and for the fields of multipart/form-data, `files` for its files; any
 * other body is `data`, and `json` beside it if it parses. Bytes that are not UTF-8 become a `data:` URL, because
 * JSON cannot hold them. How a body is read from the wire and bounded: exchange.ts.
 */
import { isUtf8 } from 'node:buffer';
import { gather } from './json.js';
import { parseMultipart, parseParameters } from './multipart.js';

type OneOrMore = Record<string, string | string[]>;

export interface BodyMeaning {
  readonly data: string;
  readonly form: OneOrMore;
  readonly files: OneOrMore;
  /** The parsed value, or null where the body is not JSON. */
  readonly json: unknown;
}

/** Reads `body` as `contentType` says; a malformed multipart body is refused. */
export function readBody(body: Buffer, contentType: string | undefined): BodyMeaning {
  const type = parseParameters(contentType ?? '');
  switch (type?.value) {
    case 'application/x-www-form-urlencoded':
      return { data: '', files: {}, form: gather(new URLSearchParams(body.toString('utf8'))), json: null };
    case 'multipart/form-data':
      return { data: '', ...formAndFiles(body, type.parameters.get('boundary') ?? ''), json: null };
    default:
      return { data: textOrDataUrl(body), files: {}, form: {}, json: parseJson(body) };
  }
}

function formAndFiles(body: Buffer, boundary: string): { form: OneOrMore; files: OneOrMore } {
  const parts = parseMultipart(body, boundary);
  const contents = (areFiles: boolean): [string, string][] =>
    parts
      .filter((part) => (part.filename !== undefined) === areFiles)
      .map(({ name, content, contentType }) => [name, textOrDataUrl(content, contentType)]);
  return { form: gather(contents(false)), files: gather(contents(true)) };
}

function textOrDataUrl(bytes: Buffer, contentType = 'application/octet-stream'): string {
  return isUtf8(bytes) ? bytes.toString('utf8') : `data:${contentType};base64,${bytes.toString('base64')}`;
}

function parseJson(body: Buffer): unknown {
  if (!isUtf8(body)) return null;
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
}
