/**
 * The oracle: what Node's own client, with llhttp in its strict mode, makes of the same bytes.
 *
 * It is run through `node:http`, its documented face, over a stream in memory: no socket, no port, 60 µs a response.
 */
import http from 'node:http';
import { Duplex } from 'node:stream';

export interface OracleHead {
  readonly status: number;
  readonly reason: string;
  /** Name, value, name, value... as they came. */
  readonly rawHeaders: readonly string[];
}

export interface OracleReading {
  readonly interims: readonly OracleHead[];
  readonly head: (OracleHead & { readonly httpVersion: string }) | null;
  /** In latin1. */
  readonly content: string;
  readonly rawTrailers: readonly string[];
  /** null if the whole was accepted. */
  readonly refusal: string | null;
}

/** A connection whose peer says `wire` when the request has been sent, and closes. */
class Played extends Duplex {
  readonly #wire: Buffer;

  constructor(wire: Buffer) {
    super();
    this.#wire = wire;
  }

  override _read(): void {}

  override _write(_request: Buffer, _encoding: string, written: () => void): void {
    written();
    this.push(this.#wire);
    this.push(null);
  }
}

/** Reads `wire` (latin1), followed by a close, as the response to a request of this method. */
export function readWithLlhttp(wire: string, method: string): Promise<OracleReading> {
  return new Promise((resolve) => {
    const interims: OracleHead[] = [];
    const content: string[] = [];
    let head: OracleReading['head'] = null;
    let refusal: string | null = null;
    let response: http.IncomingMessage | null = null;
    const refuse = (error: Error) => {
      refusal ??= error.message;
    };
    const request = http.request({
      method,
      host: 'oracle.test',
      createConnection: () => new Played(Buffer.from(wire, 'latin1')),
      insecureHTTPParser: false,
      maxHeaderSize: 65_536,
    });
    request.on('information', ({ statusCode, statusMessage, rawHeaders }) => {
      interims.push({ status: statusCode, reason: statusMessage, rawHeaders });
    });
    request.on('response', (incoming) => {
      response = incoming;
      const { statusCode = 0, statusMessage = '', rawHeaders, httpVersion } = incoming;
      head = { status: statusCode, reason: statusMessage, rawHeaders, httpVersion };
      incoming.on('data', (data: Buffer) => content.push(data.toString('latin1')));
      incoming.on('error', refuse);
    });
    request.on('error', refuse);
    request.on('close', () => {
      const settle = () => {
        if (response?.complete !== true) refusal ??= 'not complete';
        resolve({ interims, head, content: content.join(''), rawTrailers: response?.rawTrailers ?? [], refusal });
      };
      if (response === null || response.closed) settle();
      else response.on('close', settle);
    });
    request.end();
  });
}
