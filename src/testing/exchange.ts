/**
 * One request and the answer to it: what handlers see of `node:http`.
 *
 * It knows how to read what came (target, fields, body, within bounds) and how to send an answer whole or in pieces.
 * Every wait (for time, for the client to read, for the body) ends when the connection does, so a handler never
 * outlives its client. What the body means: request-body.ts; what is answered: the `...-routes.ts` files.
 */
import { type IncomingMessage, type ServerResponse, validateHeaderName, validateHeaderValue } from 'node:http';
import { prettyJson } from './json.js';
import { ClientLeft, Refusal } from './refusal.js';

/** The most that is kept of a request body, in bytes; `/sink` keeps nothing and takes any size. */
const MAX_BODY_BYTES = 64 * 1024 * 1024;

export type Fields = Readonly<Record<string, string | readonly string[]>>;

/** What is common to all answers. */
export interface AnswerHead {
  readonly status?: number;
  /** Content-Type; `text/html; charset=utf-8` as httpbin's default. */
  readonly type?: string;
  readonly fields?: Fields;
}

export class Exchange {
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #scheme: 'http' | 'https';
  readonly #authority: string;
  #body: Promise<Buffer> | undefined;

  readonly method: string;
  /** Raw path, still percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** The target in origin form: path and query as they came. */
  readonly target: string;

  constructor(request: IncomingMessage, response: ServerResponse, scheme: 'http' | 'https') {
    this.#request = request;
    this.#response = response;
    this.#scheme = scheme;
    this.method = request.method ?? '';
    const { authority, target } = splitTarget(request.url ?? '');
    // RFC 9112 section 3.2.2: the authority of an absolute target wins over the Host field.
    this.#authority = authority ?? request.headers.host ?? `localhost:${request.socket.localPort}`;
    this.target = target;
    const mark = target.indexOf('?');
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
  }

  /** The request target as it stands in the start line. */
  get rawTarget(): string {
    return this.#request.url ?? '';
  }

  /** Scheme and authority that the client used, for absolute links. */
  get base(): string {
    return `${this.#scheme}://${this.#authority}`;
  }

  get url(): string {
    return this.base + this.target;
  }

  get isSecure(): boolean {
    return this.#scheme === 'https';
  }

  /** The address of the client, an IPv4 one without its IPv6 wrapping. */
  get origin(): string {
    return (this.#request.socket.remoteAddress ?? '').replace(/^::ffff:/, '');
  }

  /** The value of a field, equal names joined; `name` in lower case. */
  field(name: string): string | undefined {
    const value = this.#request.headers[name];
    return Array.isArray(value) ? value.join(', ') : value;
  }

  /** All field lines in the order and spelling of the wire. */
  fieldLines(): [string, string][] {
    const raw = this.#request.rawHeaders;
    const lines: [string, string][] = [];
    for (let index = 0; index < raw.length; index += 2) lines.push([raw[index] ?? '', raw[index + 1] ?? '']);
    return lines;
  }

  /** The whole body; more than 64 MiB is refused with 413. */
  body(): Promise<Buffer> {
    this.#body ??= this.#collectBody();
    return this.#body;
  }

  /** Hands each piece of the body to `take` and keeps none; what `take` throws ends it. */
  consumeBody(take: (piece: Buffer) => void): Promise<void> {
    const request = this.#request;
    return new Promise((resolve, reject) => {
      const onData = (piece: Buffer): void => {
        try {
          take(piece);
        } catch (error) {
          // node:http discards the rest once the answer is sent, which keeps the connection in step.
          request.off('data', onData);
          reject(error);
        }
      };
      request.on('data', onData);
      request.once('end', resolve);
      request.once('close', () => reject(new ClientLeft()));
    });
  }

  /** Waits; rejects with {@link ClientLeft} as soon as the connection is gone. */
  sleep(ms: number): Promise<void> {
    return this.#untilClosed((done) => {
      const timer = setTimeout(done, ms);
      return () => clearTimeout(timer);
    });
  }

  /** Sends a complete answer with its Content-Length. */
  send(head: AnswerHead, body: string | Uint8Array = ''): void {
    this.#checkClient();
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    this.#writeHead(head, bytes.length);
    this.#response.end(bytes);
  }

  /** Sends `value` in httpbin's JSON. */
  sendJson(value: unknown, head: AnswerHead = {}): void {
    this.send({ type: 'application/json', ...head }, prettyJson(value));
  }

  /** Sends an answer piece by piece, no faster than the client reads; chunked if `length` is not given. */
  async stream(
    head: AnswerHead & { readonly length?: number },
    pieces: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>,
  ): Promise<void> {
    this.#writeHead(head, head.length);
    if (this.method !== 'HEAD' && !isBodyless(head.status ?? 200)) {
      for await (const piece of pieces) {
        this.#checkClient();
        if (!this.#response.write(piece)) await this.#drained();
      }
    }
    this.#response.end();
  }

  /** Gives up on an answer that has begun: the client sees it cut off, not complete. */
  abort(): void {
    this.#response.destroy();
  }

  /** Whether the connection is closed, so that nothing can be sent any more. */
  get isGone(): boolean {
    return this.#request.socket.destroyed;
  }

  /** Whether the head of the answer is out. */
  get hasBegun(): boolean {
    return this.#response.headersSent;
  }

  async #collectBody(): Promise<Buffer> {
    if (Number(this.field('content-length') ?? 0) > MAX_BODY_BYTES) throw tooLarge();
    const pieces: Buffer[] = [];
    let length = 0;
    await this.consumeBody((piece) => {
      length += piece.length;
      if (length > MAX_BODY_BYTES) throw tooLarge();
      pieces.push(piece);
    });
    return Buffer.concat(pieces, length);
  }

  /** Writing to a connection that is gone would be an 'error' event that nobody awaits. */
  #checkClient(): void {
    if (this.isGone) throw new ClientLeft();
  }

  #drained(): Promise<void> {
    const response = this.#response;
    return this.#untilClosed((done) => {
      response.once('drain', done);
      return () => response.off('drain', done);
    });
  }

  /** Waits for what `start` sets up, or for the end of the connection; undoes the loser either way. */
  #untilClosed(start: (done: () => void) => () => void): Promise<void> {
    // The socket's end, not the response's: node:http does not tell it to responses that wait behind another.
    const { socket } = this.#request;
    socket.setMaxListeners(0); // pipelined requests wait side by side
    return new Promise((resolve, reject) => {
      this.#checkClient();
      const undo = start(() => {
        socket.off('close', onClose);
        resolve();
      });
      const onClose = (): void => {
        undo();
        reject(new ClientLeft());
      };
      socket.once('close', onClose);
    });
  }

  #writeHead({ status = 200, type, fields = {} }: AnswerHead, length: number | undefined): void {
    const lines: Record<string, string | string[]> = {
      'Access-Control-Allow-Origin': this.field('origin') ?? '*',
      'Access-Control-Allow-Credentials': 'true',
    };
    if (!isBodyless(status)) {
      lines['Content-Type'] = type ?? 'text/html; charset=utf-8';
      if (length !== undefined) lines['Content-Length'] = String(length);
    }
    for (const [name, value] of Object.entries(fields)) {
      lines[name] = typeof value === 'string' ? wireText(name, value) : value.map((item) => wireText(name, item));
    }
    this.#response.writeHead(status, lines);
  }
}

/** RFC 9110 sections 15.3.5 and 15.4.5: these have no content, and announce no length of it. */
function isBodyless(status: number): boolean {
  return status === 204 || status === 304;
}

/** Text beyond ASCII travels as UTF-8; what cannot stand in a field came from the client, so the client is told. */
function wireText(name: string, value: string): string {
  const text = Buffer.from(value).toString('latin1');
  try {
    validateHeaderName(name);
    validateHeaderValue(name, text);
  } catch {
    throw new Refusal(400, `This cannot stand in a field: ${JSON.stringify(`${name}: ${value}`)}`);
  }
  return text;
}

function splitTarget(raw: string): { authority?: string; target: string } {
  const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(raw);
  if (absolute === null) return { target: raw };
  const [, authority = '', rest = ''] = absolute;
  return { authority, target: rest.startsWith('/') ? rest : `/${rest}` };
}

function tooLarge(): Refusal {
  return new Refusal(413, `The body must not exceed ${MAX_BODY_BYTES} bytes; /sink takes any size`);
}
