/**
 * The few messages of URLFetch: a fetch wrapped in a remote call, and the reply or error that comes back (remote_api.proto,
 * urlfetch_service.proto).
 *
 * Pure: requests become bytes, bytes become replies. Texts of a request are UTF-8, as the type of their fields says. Header
 * fields of a reply are read as latin1, as all of this library reads them, so that no byte of theirs is lost.
 */
import { ProtocolError } from '../../exceptions.js';
import { describe, excerpt } from '../../excerpt.js';
import { isFieldValue, isToken, withoutOuterBlanks } from '../../http1/grammar.js';
import type { FieldLine } from '../../http1/request-head.js';
import { URLFetchError } from './errors.js';
import { MessageWriter, readFields, type WireField } from './protobuf.js';
import type { URLFetchMethod, URLFetchReply, URLFetchRequest } from './urlfetch.js';

const METHOD_NUMBERS: Readonly<Record<URLFetchMethod, number>> = {
  GET: 1,
  POST: 2,
  HEAD: 3,
  PUT: 4,
  DELETE: 5,
  PATCH: 6,
};

/**
 * The call of `urlfetch.Fetch`.
 *
 * @param ticket - of the incoming request in whose name it is made; null for none
 */
export function encodeCall(request: URLFetchRequest, ticket: string | null): Buffer {
  const call = new MessageWriter().bytes(2, 'urlfetch').bytes(3, 'Fetch').bytes(4, encodeRequest(request));
  return (ticket === null ? call : call.bytes(5, ticket)).finish();
}

function encodeRequest(request: URLFetchRequest): Buffer {
  const { method, url, headers, payload, followRedirects, deadline, validateCertificate } = request;
  const message = new MessageWriter().varint(1, METHOD_NUMBERS[method]).bytes(2, url);
  for (const [name, value] of headers) message.group(3, (header) => header.bytes(4, name).bytes(5, value));
  if (payload !== null) message.bytes(6, payload);
  message.varint(7, followRedirects);
  if (deadline !== null) message.double(8, deadline);
  // Always said: the proto declares true as the default, and a service has been seen to take false.
  return message.varint(9, validateCertificate).finish();
}

/**
 * The reply to {@link encodeCall}. Its content is a view into `bytes`.
 *
 * @throws {@link URLFetchError} if the reply is an error, {@link ProtocolError} if it is none at all
 */
export function decodeCallReply(bytes: Buffer): URLFetchReply {
  const fields = readFields(bytes);
  const rpcError = lastBytes(fields, 5);
  if (rpcError !== undefined) throw decodeError('rpc', rpcError);
  const applicationError = lastBytes(fields, 3);
  if (applicationError !== undefined) throw decodeError('urlfetch', applicationError);
  if (lastBytes(fields, 2) !== undefined || lastBytes(fields, 4) !== undefined) {
    throw new URLFetchError('rpc', 0, 'the service raised an exception');
  }
  const response = lastBytes(fields, 1);
  if (response === undefined) throw new ProtocolError('Cannot use the reply of URLFetch: it has no response');
  return decodeReply(response);
}

function decodeError(layer: 'rpc' | 'urlfetch', bytes: Buffer): URLFetchError {
  const fields = readFields(bytes);
  return new URLFetchError(layer, lastInt32(fields, 1) ?? 0, lastBytes(fields, 2)?.toString() ?? '');
}

function decodeReply(bytes: Buffer): URLFetchReply {
  const fields = readFields(bytes);
  const statusCode = lastInt32(fields, 2);
  if (statusCode === undefined || statusCode < 100 || statusCode > 999) {
    throw new ProtocolError(`Cannot use the reply of URLFetch: its status is ${describe(statusCode)}`);
  }
  return {
    statusCode,
    headers: fields.flatMap((field) => (field.number === 3 && field.kind === 'group' ? [headerOf(field.fields)] : [])),
    content: lastBytes(fields, 1) ?? Buffer.alloc(0),
    contentWasTruncated: lastVarint(fields, 6) !== undefined && lastVarint(fields, 6) !== 0n,
    finalUrl: lastBytes(fields, 9)?.toString() || null,
  };
}

function headerOf(group: readonly WireField[]): FieldLine {
  const name = lastBytes(group, 4)?.toString('latin1') ?? '';
  const value = withoutOuterBlanks(lastBytes(group, 5)?.toString('latin1') ?? '');
  if (isToken(name) && isFieldValue(value)) return [name, value];
  throw new ProtocolError(`Cannot use the reply of URLFetch: its header ${excerpt(name)} is no field of HTTP`);
}

/** The last one counts, as in every message of protobuf. */
function lastBytes(fields: readonly WireField[], number: number): Buffer | undefined {
  const field = fields.findLast((one) => one.number === number && one.kind === 'bytes');
  return field?.kind === 'bytes' ? field.bytes : undefined;
}

function lastVarint(fields: readonly WireField[], number: number): bigint | undefined {
  const field = fields.findLast((one) => one.number === number && one.kind === 'varint');
  return field?.kind === 'varint' ? field.value : undefined;
}

function lastInt32(fields: readonly WireField[], number: number): number | undefined {
  const value = lastVarint(fields, number);
  return value === undefined ? undefined : Number(BigInt.asIntN(32, value));
}
