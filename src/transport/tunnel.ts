/**
 * A tunnel through an HTTP proxy: CONNECT, and what the proxy answers (RFC 9110 section 9.3.6, RFC 9112 section 3.2.3).
 *
 * The answer is read by the codec of all responses, with its limits; after a 2xx the next byte is the target's, whatever the
 * fields announce. Any other answer is the proxy's own and never comes to light as a response: of it an error tells the
 * status and how its content begins, without credentials that are repeated in it. The proxy's fields are written here and nowhere else, the request's never.
 *
 * The socket is an ordinary one, read as a stream: nobody knows beforehand how much of what comes belongs to the answer.
 * How it comes to be connected to the proxy is the connection's business.
 */
import type { Socket } from 'node:net';
import { CREDENTIAL_FIELDS } from '../credential-fields.js';
import { ProxyError } from '../exceptions.js';
import { excerpt } from '../excerpt.js';
import { equalsIgnoringCase } from '../http1/grammar.js';
import type { ResponseLimits } from '../http1/limits.js';
import { checkTarget, type FieldLine } from '../http1/request-head.js';
import type { ResponseHead } from '../http1/response-head.js';
import { ResponseParser } from '../http1/response-parser.js';
import { HandshakeTimeout } from '../tls/handshake.js';
import { type Bounds, bounded, type Verdict, type Wait } from './bounded.js';

/** Where a tunnel is to lead. */
export interface TunnelTarget {
  /** As a URL has it: an IPv6 address in brackets. */
  readonly host: string;
  readonly port: number;
}

/** Of a refusal's content, this much is waited for, and looked at: an error page has its say in its first lines. */
const MAX_REFUSAL_BYTES = 2_048;

/** Milliseconds for that: the answer is known already, and only its explanation may still come. */
const REFUSAL_MS = 1_000;

/**
 * Asks the proxy at the other end of `socket` for a tunnel. Afterwards every byte of the socket is the target's; those that
 * came with the answer have been put back.
 *
 * @param lines - the fields for the proxy, checked
 * @throws {@link ProxyError} if the proxy refuses, closes or answers something else than HTTP; HandshakeTimeout when the
 *   deadline passes; the signal's reason. The socket is closed then.
 */
export async function openTunnel(
  socket: Socket,
  target: TunnelTarget,
  lines: readonly FieldLine[],
  limits: ResponseLimits,
  bounds: Bounds,
): Promise<void> {
  const authority = authorityOf(target);
  try {
    await bounded(new Consent(socket, authority, lines, limits), bounds);
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Host and port, both always (RFC 9112 section 3.2.3). A zone means something on this machine only. */
function authorityOf({ host, port }: TunnelTarget): string {
  const authority = `${host.replace(/%[^\]]*/, '')}:${port}`;
  checkTarget(authority);
  return authority;
}

function connectHead(authority: string, lines: readonly FieldLine[]): string {
  const hasHost = lines.some(([name]) => equalsIgnoringCase(name, 'host'));
  const fields = lines.map(([name, value]) => `${name}: ${value}\r\n`);
  return `CONNECT ${authority} HTTP/1.1\r\n${hasHost ? '' : `Host: ${authority}\r\n`}${fields.join('')}\r\n`;
}

type Event = 'readable' | 'end' | 'error' | 'close';

/** The exchange of a CONNECT and its answer. */
class Consent implements Wait<void> {
  readonly #socket: Socket;
  readonly #authority: string;
  readonly #lines: readonly FieldLine[];
  readonly #parser: ResponseParser;
  readonly #content: Buffer[] = [];
  #contentBytes = 0;
  #refusal: ResponseHead | null = null;
  #refusalTimer: NodeJS.Timeout | undefined;
  #listeners: [event: Event, listener: (error?: Error) => void][] = [];

  constructor(socket: Socket, authority: string, lines: readonly FieldLine[], limits: ResponseLimits) {
    this.#socket = socket;
    this.#authority = authority;
    this.#lines = lines;
    this.#parser = new ResponseParser(limits);
  }

  start(verdict: Verdict<void>): void {
    const gone = (error?: Error) => verdict.reject(this.#refused() ?? this.#brokenOff(error));
    // What happened before anybody listened.
    if (this.#socket.destroyed) return gone(this.#socket.errored ?? undefined);
    this.#listeners = [
      ['readable', () => this.#read(verdict)],
      ['end', () => gone()],
      ['error', gone],
      ['close', () => gone()],
    ];
    for (const [event, listener] of this.#listeners) this.#socket.on(event, listener);
    this.#parser.begin('CONNECT');
    this.#socket.write(connectHead(this.#authority, this.#lines), 'latin1');
  }

  stop(): void {
    clearTimeout(this.#refusalTimer);
    for (const [event, listener] of this.#listeners) this.#socket.off(event, listener);
  }

  expire(verdict: Verdict<void>): void {
    const timeout = new HandshakeTimeout(`The proxy did not answer CONNECT ${this.#authority} in time`);
    verdict.reject(this.#refused() ?? timeout);
  }

  #read(verdict: Verdict<void>): void {
    const bytes: Buffer | null = this.#socket.read();
    if (bytes === null) return;
    this.#parser.push(bytes, bytes.length);
    try {
      while (this.#takeStep(bytes, verdict)) {}
    } catch (cause) {
      const message = `Tunnel connection failed: the proxy's answer to CONNECT ${this.#authority} cannot be read`;
      verdict.reject(this.#refused() ?? new ProxyError(message, { cause }));
    }
  }

  /** One step of the parser; whether there may be another. */
  #takeStep(bytes: Buffer, verdict: Verdict<void>): boolean {
    const parser = this.#parser;
    switch (parser.next()) {
      case 'need-bytes':
        return false;
      case 'interim':
        return true;
      case 'head':
        return this.#onHead(bytes, verdict);
      case 'content':
        this.#content.push(bytes.subarray(parser.contentStart, parser.contentEnd));
        this.#contentBytes += parser.contentEnd - parser.contentStart;
        if (this.#contentBytes < MAX_REFUSAL_BYTES) return true;
        break;
      default:
    }
    verdict.reject(this.#refused());
    return false;
  }

  #onHead(bytes: Buffer, verdict: Verdict<void>): boolean {
    const { head, leftoverBytes } = this.#parser;
    if (head !== null && head.status < 300) {
      if (leftoverBytes > 0) this.#socket.unshift(bytes.subarray(bytes.length - leftoverBytes));
      verdict.resolve();
      return false;
    }
    this.#refusal = head;
    this.#refusalTimer = setTimeout(() => verdict.reject(this.#refused()), REFUSAL_MS);
    return true;
  }

  /** What the proxy has said against it, if it has. */
  #refused(): ProxyError | null {
    if (this.#refusal === null) return null;
    const { status, reason, contentEncoding } = this.#refusal;
    const says = contentEncoding === undefined ? withoutCredentials(textOf(this.#content), this.#lines) : '';
    const answer = `${status}${reason === '' ? '' : ` ${excerpt(withoutCredentials(reason, this.#lines))}`}`;
    const message = `Tunnel connection failed: the proxy answered ${answer} to CONNECT ${this.#authority}`;
    return new ProxyError(says === '' ? message : `${message}, with ${excerpt(says)}`, { status });
  }

  #brokenOff(cause: Error | undefined): ProxyError {
    const message = `Tunnel connection failed: the proxy closed the connection after CONNECT ${this.#authority}`;
    return new ProxyError(cause === undefined ? message : `${message}: ${cause.message}`, { cause });
  }
}

/** Some error pages show the request that they are for, and errors end up in logs (SEC-083). */
function withoutCredentials(text: string, lines: readonly FieldLine[]): string {
  let shown = text;
  for (const [name, value] of lines) {
    if (!CREDENTIAL_FIELDS.some((field) => equalsIgnoringCase(name, field.toLowerCase()))) continue;
    // Of `Basic dXNlcjpwYXNz`, the second part alone is as good.
    for (const secret of [value, value.replace(/^\S+ +/, '')])
      if (secret !== '') shown = shown.replaceAll(secret, '***');
  }
  return shown;
}

/** The title of a page, for the text of one begins with declarations and styles; else the text; as one line. */
function textOf(content: readonly Buffer[]): string {
  const text = Buffer.concat(content).toString('utf8', 0, MAX_REFUSAL_BYTES);
  const title = /<title[^>]*>([^<]*)/i.exec(text)?.[1]?.trim();
  return (title || text).replace(/\s+/g, ' ').trim();
}
