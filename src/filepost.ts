/**
 * Forms as multipart/form-data (RFC 7578, RFC 2046 section 5.1; reference: "urllib3.filepost").
 *
 * A form in memory is one buffer. A form with files, streams or Blobs is sent piece by piece: one chunk is held at a time,
 * and its length is known before it is sent if every part's is. Values are sent byte for byte: line ends in them are
 * not changed, as a browser would. What one field is, and its part headers: fields.ts.
 */
import { type BodySource, contentSource, sequenceSource } from './body/content.js';
import { fieldPairs } from './body/urlencode.js';
import { describe } from './excerpt.js';
import { type FieldData, type FileTuple, RequestField } from './fields.js';

/** The value of one name: data, a file tuple, a field, or several of these where the first is not a string. */
export type FieldValue = FieldData | FileTuple | RequestField | readonly FieldValue[] | undefined;

/**
 * What may be given as the fields of a form: a plain object (whose integer-like names JavaScript puts first), a Map, pairs,
 * FormData, or a list of {@link RequestField}, also mixed with pairs.
 *
 * An array as a value is a file, `[filename, data]` or `[filename, data, mimeType]`; if its first element is no string and not null, it
 * is several values. `undefined` leaves a name out.
 */
export type FieldsInput =
  | { readonly [name: string]: FieldValue }
  | Iterable<readonly [name: string, value: FieldValue] | RequestField>
  | FormData;

/** What the encoders take. */
export interface MultipartOptions {
  /** The text between parts, 1 to 70 characters. @defaultValue a new random one */
  readonly boundary?: string | null | undefined;
}

/** boundary := 0*69<bchars> bcharsnospace (RFC 2046 section 5.1.1). */
const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/;
/** What stands without quotes in a parameter of Content-Type. */
const TOKEN = /^[0-9A-Za-z'+_\-.]+$/;

/** A boundary that nobody can foresee: 128 random bits in hexadecimal. */
export function chooseBoundary(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex');
}

/**
 * A form in memory, and its Content-Type.
 *
 * @returns [body, contentType]
 * @throws TypeError for a part that is not in memory (use {@link multipartSource}, or give the fields to a request), for
 *   a boundary that is not acceptable or that occurs in the data
 * @example
 * ```ts
 * const [body, contentType] = encodeMultipartFormdata({ user: 'ann', photo: ['a.png', bytes] });
 * ```
 */
export function encodeMultipartFormdata(
  fields: FieldsInput,
  options: MultipartOptions = {},
): [body: Buffer, contentType: string] {
  const { pieces, contentType } = layOut(fields, options);
  const bytes = pieces.map(({ content, field }) => {
    if (content.kind === 'bytes') return content.bytes;
    throw new TypeError(
      `Cannot encode field ${describe(field)} at once: its data must be streamed; use multipartSource(), or give the fields to a request`,
    );
  });
  return [Buffer.concat(bytes), contentType];
}

/**
 * A form as the body of a request: in memory if all its parts are, else streamed. It can be sent again if every part can.
 *
 * @throws TypeError as {@link encodeMultipartFormdata} does, but not for streamed parts
 */
export function multipartSource(fields: FieldsInput, options: MultipartOptions = {}): BodySource {
  const { pieces, contentType } = layOut(fields, options);
  return sequenceSource(
    pieces.map(({ content }) => content),
    contentType,
  );
}

/** A run of the form: the text of a head or of the end, or the data of a field. */
interface Piece {
  readonly content: BodySource;
  /** The field whose data it is. */
  readonly field: string;
}

function layOut(fields: FieldsInput, options: MultipartOptions): { pieces: Piece[]; contentType: string } {
  const { boundary: given }: MultipartOptions = Object.assign(Object.create(null), options);
  const boundary = given === undefined || given === null ? chooseBoundary() : checkedBoundary(given);
  const isChosenByCaller = boundary === given;
  const pieces: Piece[] = [];
  for (const field of iterFieldObjects(fields)) {
    const head = field.renderHeaders();
    const content = dataSource(field);
    if (isChosenByCaller && content.kind === 'bytes') refuseBoundaryIn(content.bytes, boundary);
    pieces.push(textPiece(`--${boundary}\r\n${head}`), { content, field: field.name }, textPiece('\r\n'));
  }
  pieces.push(textPiece(`--${boundary}--\r\n`));
  const parameter = TOKEN.test(boundary) ? boundary : `"${boundary}"`;
  return { pieces, contentType: `multipart/form-data; boundary=${parameter}` };
}

function textPiece(text: string): Piece {
  return { content: { kind: 'bytes', bytes: Buffer.from(text), contentType: null }, field: '' };
}

function checkedBoundary(boundary: unknown): string {
  if (typeof boundary === 'string' && BOUNDARY.test(boundary)) return boundary;
  throw new TypeError(
    `Cannot use ${describe(boundary)} as a boundary: it must be 1 to 70 letters, digits and '()+_,-./:=? or spaces, without a space at its end`,
  );
}

/** A random boundary cannot occur in the data; a chosen one can, and would end the part there. */
function refuseBoundaryIn(bytes: Uint8Array, boundary: string): void {
  if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(`--${boundary}`)) {
    throw new TypeError(`Cannot use ${describe(boundary)} as a boundary: it occurs in the data of a field`);
  }
}

function dataSource(field: RequestField): BodySource {
  const { data } = field;
  const isText = typeof data === 'number' || typeof data === 'bigint' || typeof data === 'boolean';
  const source = contentSource(isText ? String(data) : data);
  if (source !== undefined) return source;
  throw new TypeError(
    `Cannot send ${describe(data)} as field ${describe(field.name)}: it must be a string, number, bytes, a Blob, a stream, an iterable, a FileHandle or an object with read()`,
  );
}

/**
 * The fields of a form, in order, as {@link RequestField}s.
 *
 * @throws TypeError for fields of another kind
 */
export function* iterFieldObjects(fields: FieldsInput): Generator<RequestField> {
  for (const [name, value] of fieldPairs(fields, isRequestField)) yield* fieldsOf(name, value);
}

function* fieldsOf(name: string, value: unknown): Generator<RequestField> {
  if (value === undefined) return;
  if (isRequestField(value)) yield value;
  else if (isSeveral(value)) for (const single of value) yield* fieldsOf(name, single);
  // Unknown kinds of data are refused when the data is encoded, with the field's name.
  else yield RequestField.fromTuples(name, value as FieldData | FileTuple);
}

function isRequestField(value: unknown): value is RequestField {
  return value instanceof RequestField;
}

function isSeveral(value: unknown): value is readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0) return Array.isArray(value);
  const first: unknown = value[0];
  return typeof first !== 'string' && first !== null && first !== undefined;
}

/**
 * The fields of a form as [name, value] pairs.
 *
 * @deprecated use {@link iterFieldObjects}
 */
export function* iterFields(fields: FieldsInput): Generator<[name: string, value: unknown]> {
  for (const [name, value] of fieldPairs(fields)) yield [name, value];
}
