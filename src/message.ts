/**
 * What one hop of a request writes, and to which target: a URL of the pool's host, fields and content become a head.
 *
 * A path is only ever a path of this host; a whole URL of another one is asked for in absolute form, as one asks a proxy
 * (RFC 9112 section 3.2). Whether that is allowed is the pool's to say. To a host that is a proxy every whole URL goes in
 * absolute form, and with it the fields that are for the proxy: they are written here, hop by hop, and are no part of the
 * request, so that no redirect can carry them elsewhere.
 */
import type { BodySource } from './body/source.js';
import { hostField, withoutZone } from './connection.js';
import { LocationValueError } from './exceptions.js';
import { describe } from './excerpt.js';
import { asciiLowerCase } from './headers.js';
import { equalsIgnoringCase } from './http1/grammar.js';
import {
  checkTarget,
  defaultHeadTail,
  type FieldLine,
  type RequestFraming,
  renderHead,
  requestFraming,
} from './http1/request-head.js';
import { portByScheme } from './pool-options.js';
import { parseUrl } from './util/url.js';

const ACCEPT_ALL: FieldLine = ['Accept', '*/*'];

/** A pool asks for the same few targets again and again; beyond so many it starts anew. */
const MAX_KNOWN_TARGETS = 512;
const MAX_KNOWN_TARGET_LENGTH = 2_048;

/** One hop of a request: everything that is written, and what for. */
export interface Message {
  readonly method: string;
  /** As the request line has it. */
  readonly target: string;
  /** The absolute URL. */
  readonly url: string;
  /** The value of Host. */
  readonly host: string;
  readonly lines: readonly FieldLine[];
  readonly body: BodySource;
  readonly head: string;
  readonly framing: RequestFraming;
}

/** Where a hop goes. */
export interface Place {
  /** As the request line has it. */
  readonly target: string;
  /** The absolute URL. */
  readonly url: string;
  /** The value of Host. */
  readonly host: string;
}

/** What is known of a request before its place: the rest of a message. */
export interface MessageParts {
  readonly method: string;
  readonly lines: readonly FieldLine[];
  readonly body: BodySource;
}

/** A host that passes requests on to others. */
export interface ForwardingProxy {
  /** The fields that are for it, checked. */
  readonly lines: readonly FieldLine[];
  /** Whether https URLs too are asked for in absolute form, so that it sees them and verifies their hosts. */
  readonly forwardsHttps: boolean;
}

/** Writes the messages to one origin. */
export class MessageWriter {
  readonly #scheme: 'http' | 'https';
  readonly #host: string;
  readonly #port: number;
  readonly #origin: string;
  readonly #hostField: string;
  readonly #headTail: string;
  readonly #proxy: ForwardingProxy | null;
  readonly #knownTargets = new Map<string, string>();

  /**
   * @param host - normalised, as a pool has it
   * @param proxy - what the host is as a proxy; null if it is none
   */
  constructor(scheme: 'http' | 'https', host: string, port: number, proxy: ForwardingProxy | null = null) {
    this.#scheme = scheme;
    this.#proxy = proxy;
    this.#host = host;
    this.#port = port;
    const defaultPort = portByScheme[scheme];
    this.#hostField = hostField(host.endsWith('.') ? host.slice(0, -1) : host, port, defaultPort);
    this.#headTail = defaultHeadTail(this.#hostField);
    this.#origin = `${scheme}://${hostField(host, port, defaultPort)}`;
  }

  /** Whether a URL is of this host; a path is. */
  isSameHost(url: string): boolean {
    if (url.startsWith('/')) return true;
    const { scheme, host, port } = parseUrl(url);
    if (host === null) return false;
    const effectiveScheme = scheme ?? 'http';
    return (
      effectiveScheme === this.#scheme && host === this.#host && (port ?? portByScheme[this.#scheme]) === this.#port
    );
  }

  /** The place of a URL of this host; null for one of another. */
  placeHere(url: string): Place | null {
    if (typeof url !== 'string') throw new TypeError(`Cannot request ${describe(url)}: a URL must be text`);
    if (!this.isSameHost(url)) return null;
    if (this.#proxy !== null && !url.startsWith('/')) return this.mayAskFor(url) ? this.placeElsewhere(url) : null;
    const target = url.startsWith('/') ? this.#encodedTarget(url) : parseUrl(url).requestUri;
    return { target, url: this.#origin + target, host: this.#hostField };
  }

  /** Whether this host may be asked for a URL of another: what is to go over TLS is not shown to who is between, unless wanted. */
  mayAskFor(url: string): boolean {
    return this.#proxy?.forwardsHttps === true || parseUrl(url).scheme !== 'https';
  }

  /** The place of a URL of another host, which this one is asked for. */
  placeElsewhere(url: string): Place {
    const { scheme, host, port, requestUri } = parseUrl(url);
    if (scheme === null || host === null) {
      throw new LocationValueError(`Cannot request ${describe(url)}: it must be a path or an absolute URL`);
    }
    const name = withoutZone(host);
    const authority = port === null ? name : `${name}:${port}`;
    const absolute = `${scheme}://${authority}${requestUri}`;
    return { target: absolute, url: absolute, host: authority };
  }

  /**
   * @param coding - 'chunked' for the chunked coding whatever the length
   * @throws InvalidHeader if the fields and the body contradict each other
   */
  message({ method, lines, body }: MessageParts, place: Place, coding: 'chunked' | 'any'): Message {
    const { target, url, host } = place;
    const framing = requestFraming(method, lines, lengthOf(body), coding === 'chunked');
    const written = this.#proxy === null ? lines : withProxyLines(lines, this.#proxy.lines);
    const isPlain = written.length === 0 && framing.kind === 'none' && host === this.#hostField;
    const contentType = body.kind === 'none' ? null : body.contentType;
    const head = isPlain
      ? `${method} ${target}${this.#headTail}`
      : renderHead(method, target, host, written, framing, contentType);
    return { method, target, url, host, lines, body, head, framing };
  }

  /** A path is only ever a path: `//x/y` too, which elsewhere would name a host. */
  #encodedTarget(path: string): string {
    const known = this.#knownTargets.get(path);
    if (known !== undefined) return known;
    const target = parseUrl(this.#origin + path).requestUri;
    checkTarget(target);
    if (this.#knownTargets.size >= MAX_KNOWN_TARGETS) this.#knownTargets.clear();
    if (path.length <= MAX_KNOWN_TARGET_LENGTH) this.#knownTargets.set(path, target);
    return target;
  }
}

/** As the reference sends them: with an Accept, and what is for the proxy over what the request says of the same name. */
function withProxyLines(lines: readonly FieldLine[], proxyLines: readonly FieldLine[]): readonly FieldLine[] {
  const names = new Set(proxyLines.map(([name]) => asciiLowerCase(name)));
  const own = names.size === 0 ? lines : lines.filter(([name]) => !names.has(asciiLowerCase(name)));
  const accepts = names.has('accept') || own.some(([name]) => equalsIgnoringCase(name, 'accept'));
  return accepts ? [...own, ...proxyLines] : [ACCEPT_ALL, ...own, ...proxyLines];
}

/** The fields of a request that waits for 100 (Continue). */
export function withExpectation(lines: readonly FieldLine[]): readonly FieldLine[] {
  return [...lines.filter(([name]) => !equalsIgnoringCase(name, 'expect')), ['Expect', '100-continue']];
}

/** Without any, there is nothing to wait with (RFC 9110 section 10.1.1). */
export function hasContent(body: BodySource): boolean {
  const length = lengthOf(body);
  return length !== undefined && length !== 0;
}

function lengthOf(body: BodySource): number | null | undefined {
  if (body.kind === 'none') return undefined;
  return body.kind === 'bytes' ? body.bytes.length : body.length;
}
