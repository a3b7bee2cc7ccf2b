/**
 * What a caller says of an HTTP proxy, resolved: where it is, which fields are for it alone, and what a pool has to do with it.
 *
 * The user-info of its URL becomes Proxy-Authorization here and is in no URL afterwards, so that nothing that prints one can
 * tell it. How a tunnel is asked for: transport/tunnel.ts. Which requests go where: poolmanager.ts. Which proxy the
 * environment names: util/proxy.ts.
 */
import type { ProxyRoute } from './connection.js';
import { InvalidHeader, LocationValueError, ProxySchemeUnknown } from './exceptions.js';
import { describe, excerpt } from './excerpt.js';
import { asciiLowerCase, fieldLines, type HeadersInput } from './headers.js';
import { equalsIgnoringCase } from './http1/grammar.js';
import { checkFieldLines, type FieldLine } from './http1/request-head.js';
import { type TlsConfiguration, tlsConfiguration } from './tls/configuration.js';
import { parseUrl, Url } from './util/url.js';

/** A proxy that speaks HTTP, with or without TLS. */
export interface HttpProxy {
  /** Scheme, host and port, all written, and nothing else. */
  readonly url: Url & { readonly scheme: 'http' | 'https'; readonly host: string; readonly port: number };
  /** The fields that are for it alone, checked. */
  readonly lines: readonly FieldLine[];
}

/** What a manager tells its pools of the proxy, beside its URL and fields. */
export interface ProxyConfig {
  /** How TLS is spoken with the proxy itself; null verifies it with Node's authorities. */
  readonly tls: TlsConfiguration | null;
  /** Whether it is asked for https URLs in absolute form, in place of tunnels. */
  readonly useForwardingForHttps: boolean;
}

const DEFAULT_PORTS: ReadonlyMap<string | null, number> = new Map([
  ['http', 80],
  ['https', 443],
]);

/**
 * @param headers - what the caller wants the proxy to be sent; a Proxy-Authorization among them wins over the URL's user-info
 * @throws {@link ProxySchemeUnknown} unless it begins with http:// or https://, {@link LocationValueError} without a host,
 *   InvalidHeader for fields that cannot be sent with CONNECT; none of them shows a secret
 */
export function httpProxy(given: string | Url, headers: HeadersInput | null): HttpProxy {
  const url = given instanceof Url ? given : parseUrl(given);
  const { scheme, auth, host, port } = url;
  const defaultPort = DEFAULT_PORTS.get(scheme);
  if (defaultPort === undefined) throw new ProxySchemeUnknown(scheme);
  if (host === null || host === '') {
    throw new LocationValueError(`Cannot use the proxy ${scheme}://: its URL must have a host`);
  }
  const lines = proxyLines(headers);
  const isAuthorized = auth === null || lines.some(([name]) => equalsIgnoringCase(name, 'proxy-authorization'));
  return {
    // The three are written, as the type says.
    url: new Url(scheme, null, host, port ?? defaultPort) as HttpProxy['url'],
    lines: isAuthorized ? lines : [...lines, ['Proxy-Authorization', basicCredentials(auth)]],
  };
}

/**
 * What the connections of a pool have to do with the pool's proxy.
 *
 * @param isProxy - whether the host of the pool is the proxy itself
 */
export function proxyRoute({ url, lines }: HttpProxy, config: ProxyConfig | null, isProxy: boolean): ProxyRoute {
  const name = url.url;
  if (isProxy) return { kind: 'forward', name };
  const tls = url.scheme === 'https' ? (config?.tls ?? tlsConfiguration({})) : null;
  return { kind: 'tunnel', host: url.host, port: url.port, tls, lines, name };
}

/** For the rules of options. */
export function urlOrNull(name: string, value: unknown): Url | null {
  if (value === null || value instanceof Url) return value;
  throw new TypeError(`Cannot use ${name} ${describe(value)}: it must be a parsed URL`);
}

/** Fields that say how content is framed: CONNECT has none, and of a request that is passed on the request decides. */
const FRAMING_FIELDS: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding']);

function proxyLines(headers: HeadersInput | null): readonly FieldLine[] {
  const lines = checkFieldLines(fieldLines(headers));
  for (const [name] of lines) {
    if (FRAMING_FIELDS.has(asciiLowerCase(name))) {
      throw new InvalidHeader(`Cannot use proxy header ${excerpt(name)}: CONNECT has no content`);
    }
  }
  return lines;
}

/**
 * RFC 7617 section 2, over the bytes that the user-info stands for: what is not ASCII is UTF-8, as in all URLs.
 *
 * @throws TypeError if they hold a control character; the message does not show them
 */
function basicCredentials(userinfo: string): string {
  const text = userinfo.includes(':') ? userinfo : `${userinfo}:`;
  const bytes = Buffer.from(
    Buffer.from(text, 'utf8')
      .toString('latin1')
      .replace(/%([0-9A-Fa-f]{2})/g, (_encoded, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
  if (bytes.some((byte) => byte < 0x20 || byte === 0x7f)) {
    throw new TypeError("Cannot use the credentials in the proxy's URL: they must be without control characters");
  }
  return `Basic ${bytes.toString('base64')}`;
}
