/**
 * Which proxy the environment names for a URL: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.
 *
 * Nobody has written down what these mean; curl, Go and Python agree in most, and where they differ the choice is below, at
 * the rule. The rules are read once, from a copy of the environment, and work on hosts in the one spelling of url.ts, so that
 * letter case, a trailing dot, brackets or another notation of an address lead nowhere else (SEC-085).
 *
 * Only who asks for the environment's proxies gets here; what is done with a proxy is known by poolmanager.ts.
 *
 * @see Docs, "Proxies", "From the environment"
 */
import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { LocationParseError, ProxySchemeUnknown } from '../exceptions.js';
import { normalizeName } from './host.js';
import { parseUrl, type Url } from './url.js';

/** The proxies of an environment, as it was when they were read. */
export interface EnvironmentProxies {
  /**
   * The URL of the proxy for a request, with its scheme and with its user-info; null if the request goes to its host directly.
   *
   * @throws LocationParseError if the text is not a URL
   */
  proxyFor(url: Url | string): string | null;
}

/**
 * Whether a request goes through a tunnel that the proxy is asked for by CONNECT: what is to be reached over TLS does, unless
 * a proxy that is itself reached over TLS is trusted with it.
 *
 * @param destinationScheme - of the URL that is requested
 * @see urllib3 2.x, "urllib3.util.proxy.connection_requires_http_tunnel"
 */
export function connectionRequiresHttpTunnel(
  proxyUrl?: Url | null,
  proxyConfig?: { readonly useForwardingForHttps: boolean } | null,
  destinationScheme?: string | null,
): boolean {
  if (proxyUrl === undefined || proxyUrl === null || destinationScheme === 'http') return false;
  return !(proxyUrl.scheme === 'https' && proxyConfig?.useForwardingForHttps === true);
}

/** Schemes of proxies. */
const PROXY_SCHEMES: ReadonlySet<string | null> = new Set(['http', 'https', 'socks4', 'socks4a', 'socks5', 'socks5h']);

/** A set of hosts that are reached without proxy. */
interface Exception {
  /** The port that it holds for; null for all. */
  readonly port: number | null;
  readonly hosts: 'all' | NameException | AddressException;
}

interface NameException {
  readonly kind: 'name';
  readonly name: string;
  /** Whether the name itself is one of them, or only what is below it. */
  readonly includesItself: boolean;
}

interface AddressException {
  readonly kind: 'addresses';
  readonly addresses: BlockList;
}

/**
 * Reads the proxies of an environment.
 *
 * - `http_proxy` is for http URLs, `https_proxy` for https URLs, `all_proxy` for those that have none of their own. A variable
 *   in lower case counts before the same in upper case, and an empty one is none, as in curl.
 * - HTTP_PROXY in upper case does not count where REQUEST_METHOD is set: in a CGI program, whoever sends a request with a
 *   field named Proxy sets it (SEC-084, CVE-2016-5386).
 * - Without `scheme://`, a proxy is an HTTP one.
 *
 * `no_proxy` lists, with commas or blanks between them, what is reached directly:
 *
 * - `*`: everything.
 * - `a.test` or `.a.test`: that name and every name below it, as in curl and Python (for Go, `.a.test` is only what is below).
 *   `*.a.test`: every name below it.
 * - `192.0.2.1`, `2001:db8::1`, `[2001:db8::1]`: that address, if the URL has it; names are not resolved. An IPv4 address in the
 *   notation of IPv6 is the IPv4 address; zones make no difference.
 * - `192.0.2.0/24`, `2001:db8::/32`: the addresses of that block.
 * - Any but a block may end in a port, `a.test:8080`, `[::1]:8080`: then it holds for that port only, as in Go.
 *
 * What is none of these is not looked at. `localhost` has no rule of its own, as in curl and Python (Go never uses a proxy for
 * it): what is reached directly can be seen in the list.
 *
 * @throws {@link ProxySchemeUnknown} or {@link LocationParseError} if a variable that counts does not hold the URL of a proxy:
 *   a request must not go out directly because of a slip
 */
export function environmentProxies(
  env: Readonly<Record<string, string | undefined>> = process.env,
): EnvironmentProxies {
  // A copy: Windows would find HTTP_PROXY under the name in lower case too.
  const variables = new Map(Object.entries(env));
  const isCgi = variables.has('REQUEST_METHOD');
  const all = proxyOf(variables, ['all_proxy', 'ALL_PROXY']);
  const http = proxyOf(variables, isCgi ? ['http_proxy'] : ['http_proxy', 'HTTP_PROXY']) ?? all;
  const https = proxyOf(variables, ['https_proxy', 'HTTPS_PROXY']) ?? all;
  const exceptions = exceptionsOf(firstOf(variables, ['no_proxy', 'NO_PROXY'])?.value ?? '');
  return Object.freeze({
    proxyFor(given: Url | string): string | null {
      // A Url may have been made of parts that nobody has normalised.
      const url = parseUrl(typeof given === 'string' ? given : given.url);
      const proxy = url.scheme === 'https' ? https : url.scheme === 'http' ? http : null;
      return proxy === null || isExcepted(url, exceptions) ? null : proxy;
    },
  });
}

interface Variable {
  readonly name: string;
  readonly value: string;
}

function firstOf(variables: ReadonlyMap<string, string | undefined>, names: readonly string[]): Variable | null {
  for (const name of names) {
    const value = variables.get(name)?.trim();
    if (value) return { name, value };
  }
  return null;
}

function proxyOf(variables: ReadonlyMap<string, string | undefined>, names: readonly string[]): string | null {
  const variable = firstOf(variables, names);
  return variable === null ? null : proxyUrl(variable);
}

function proxyUrl({ name, value }: Variable): string {
  const text = value.includes('://') ? value : `http://${value}`;
  const detail = `the environment variable ${name} must hold the URL of a proxy`;
  let url: Url;
  try {
    url = parseUrl(text);
  } catch (cause) {
    throw new LocationParseError(value, { detail, cause });
  }
  if (!PROXY_SCHEMES.has(url.scheme)) throw new ProxySchemeUnknown(url.scheme, { detail });
  if (url.host === null || url.host === '') throw new LocationParseError(value, { detail });
  return url.url;
}

function exceptionsOf(list: string): readonly Exception[] {
  return list
    .split(/[\s,]+/)
    .map(exceptionOf)
    .filter((exception) => exception !== null);
}

function exceptionOf(entry: string): Exception | null {
  const slash = entry.indexOf('/');
  if (slash >= 0) return addresses(entry.slice(0, slash), null, entry.slice(slash + 1));
  // Without brackets no port can follow an IPv6 address.
  const colon = isIPv6(entry) ? -1 : entry.lastIndexOf(':');
  if (colon < 0 || entry.endsWith(']')) return hostException(entry, null);
  const port = entry.slice(colon + 1);
  return /^[0-9]{1,5}$/.test(port) ? hostException(entry.slice(0, colon), Number(port)) : null;
}

function hostException(host: string, port: number | null): Exception | null {
  if (host === '*') return { port, hosts: 'all' };
  const isBelow = host.startsWith('*.');
  const name = canonicalName(isBelow ? host.slice(2) : host.replace(/^\.+/, ''));
  if (name === null) return addresses(host, port, null);
  if (isIPv4(name)) return addresses(name, port, null);
  return { port, hosts: { kind: 'name', name, includesItself: !isBelow } };
}

/** A name as {@link parseUrl} would have it, without the dot that may end it; null for what is none. */
function canonicalName(host: string): string | null {
  try {
    return withoutFinalDot(normalizeName(host, (detail) => new LocationParseError(host, { detail })));
  } catch {
    return null;
  }
}

/** @param prefix - how many bits all have in common, in decimal digits; null for all of them */
function addresses(host: string, port: number | null, prefix: string | null): Exception | null {
  const address = canonicalAddress(host);
  if (address === null || (prefix !== null && !/^[0-9]{1,3}$/.test(prefix))) return null;
  const size = address.family === 'ipv4' ? 32 : 128;
  // Of a block in the notation of IPv6, 96 bits say that it is one of IPv4.
  const bits = prefix === null ? size : Number(prefix) - address.mappedBits;
  if (bits < 0 || bits > size) return null;
  const block = new BlockList();
  block.addSubnet(address.text, bits, address.family);
  return { port, hosts: { kind: 'addresses', addresses: block } };
}

interface CanonicalAddress {
  readonly text: string;
  readonly family: 'ipv4' | 'ipv6';
  /** 96 for an IPv4 address that was written as an IPv6 one, else 0. */
  readonly mappedBits: 0 | 96;
}

function canonicalAddress(host: string): CanonicalAddress | null {
  if (isIPv4(host)) return { text: host, family: 'ipv4', mappedBits: 0 };
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host;
  if (!isIPv6(bare.replace('%25', '%'))) return null;
  const address = bare.replace(/%.*/, '');
  const mapped = ipv4Of(address);
  if (mapped !== null) return { text: mapped, family: 'ipv4', mappedBits: 96 };
  return { text: address, family: 'ipv6', mappedBits: 0 };
}

/** The IPv4 address that an IPv6 one stands for (RFC 4291 section 2.5.5.2). */
function ipv4Of(address: string): string | null {
  const { host } = parseUrl(`http://[${address}]`);
  return /^\[::ffff:([0-9.]+)\]$/.exec(host ?? '')?.[1] ?? null;
}

function isExcepted(url: Url, exceptions: readonly Exception[]): boolean {
  if (exceptions.length === 0) return false;
  const host = url.host ?? '';
  const port = url.port ?? (url.scheme === 'https' ? 443 : 80);
  const address = canonicalAddress(host);
  const name = withoutFinalDot(host);
  return exceptions.some((exception) => {
    if (exception.port !== null && exception.port !== port) return false;
    const { hosts } = exception;
    if (hosts === 'all') return true;
    if (hosts.kind === 'addresses') return address !== null && hosts.addresses.check(address.text, address.family);
    if (address !== null) return false;
    return (hosts.includesItself && name === hosts.name) || name.endsWith(`.${hosts.name}`);
  });
}

function withoutFinalDot(name: string): string {
  return name.endsWith('.') ? name.slice(0, -1) : name;
}
