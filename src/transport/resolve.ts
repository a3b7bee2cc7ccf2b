/**
 * From a host to the IP addresses to dial: the one door for DNS, for a caller's own resolver and for address guards.
 *
 * The system's resolver (getaddrinfo, which sorts by RFC 6724) or a `lookup` hook answers; whatever it answers, only IP
 * literals leave here, so that nothing below asks DNS a second time and the address that a hook has approved is the one
 * dialled. A hook sees IP literals too. Hosts that resolvers are known to misread (a NUL, `0x7f.1`) are refused first.
 * There is no cache. In which order the addresses are tried: race.ts. URL syntax and IDNA: util/url.ts.
 */
import dns from 'node:dns';
import net from 'node:net';
import { LocationParseError } from '../exceptions.js';
import { describe } from '../excerpt.js';
import { type Bounds, bounded, type Verdict } from './bounded.js';

/** An IP literal. IPv6 stands without brackets, with `%zone` where it needs one. */
export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
}

/** The addresses that a {@link LookupFunction} answers with: several, or one whose family may follow it. */
export type LookupAnswer = string | readonly (string | dns.LookupAddress)[];

/**
 * A resolver of the caller's own, in the shape of Node's `dns.lookup` (which is one).
 *
 * Called once for each new connection, for IP literals as well as for names, with the host exactly as the URL has it
 * (a trailing dot stays). What it answers is what is dialled: refuse an address by answering without it, or with an
 * error.
 */
export type LookupFunction = (
  hostname: string,
  options: dns.LookupAllOptions,
  callback: (error: Error | null, addresses: LookupAnswer, family?: number) => void,
) => unknown;

/** What {@link resolveHost} takes beside the host. */
export interface ResolveOptions extends Bounds {
  /** Asked instead of the system; null for the system's resolver. */
  readonly lookup: LookupFunction | null;
  /** Only addresses of this family are wanted; 0 for both. */
  readonly family: 0 | 4 | 6;
}

/** There is no usable address: the resolver failed (`cause`), had none, or was too slow. */
export class ResolveError extends Error {
  override readonly name = 'ResolveError';
  readonly kind: 'failed' | 'timeout';

  constructor(kind: 'failed' | 'timeout', message: string, options?: { readonly cause: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}

/**
 * What no DNS name or address can hold and some resolver or later parser would misread: controls and space, the
 * delimiters of URLs (RFC 3986 section 2.2, as far as they could move the end of a host), and everything beyond ASCII.
 */
const NOT_IN_A_NAME = /[^\u0021-\u007e]|["#%/:<>?@[\\\]^`{|}]/;

/** What getaddrinfo takes for an IPv4 address though it is not four decimal numbers (`127.1`, `0x7f000001`, `0177.0.0.1`). */
const NUMERIC = /^(?:0x[\da-f]*|\d+)(?:\.(?:0x[\da-f]*|\d+))*\.?$/i;

/** RFC 1035 section 2.3.4, without the length octets and the root's. */
const MAX_NAME_OCTETS = 253;
const MAX_LABEL_OCTETS = 63;

/**
 * The addresses of `host`, in the resolver's order, without repetitions.
 *
 * @throws TypeError if `host` is no string
 * @throws LocationParseError if `host` is neither an IP address nor a possible DNS name in ASCII
 * @throws ResolveError if there is no address of the family, or not before the deadline
 */
export async function resolveHost(host: string, options: ResolveOptions): Promise<readonly Address[]> {
  checkHost(host);
  const { lookup, family } = options;
  if (lookup === null && net.isIP(host) !== 0) return usable(host, host, family);

  const ask = lookup ?? dns.lookup;
  return bounded<readonly Address[]>(
    {
      start(verdict) {
        askResolver(ask, host, family, verdict);
      },
      stop() {}, // a question to DNS cannot be taken back: its answer finds the verdict given
      expire(verdict) {
        verdict.reject(new ResolveError('timeout', `No answer for ${host} from the resolver within the time limit`));
      },
    },
    options,
  );
}

function checkHost(host: unknown): asserts host is string {
  if (typeof host !== 'string') throw new TypeError(`Cannot use host ${describe(host)}: it must be a string`);
  if (net.isIP(host) !== 0) return;
  const detail = faultOf(host);
  if (detail !== undefined) throw new LocationParseError(host, { detail });
}

function faultOf(host: string): string | undefined {
  if (host === '' || host === '.') return 'the host must not be empty';
  if (NOT_IN_A_NAME.test(host)) return 'the host must be an IP address or a DNS name in ASCII form';
  if (NUMERIC.test(host)) return 'an IPv4 address must be four decimal numbers';
  const name = host.endsWith('.') ? host.slice(0, -1) : host;
  if (name.length > MAX_NAME_OCTETS) return `a DNS name must not be longer than ${MAX_NAME_OCTETS} octets`;
  for (const label of name.split('.')) {
    if (label === '') return 'a label of a DNS name must not be empty';
    if (label.length > MAX_LABEL_OCTETS) return `a label must not be longer than ${MAX_LABEL_OCTETS} octets`;
  }
  return undefined;
}

function askResolver(ask: LookupFunction, host: string, family: 0 | 4 | 6, verdict: Verdict<readonly Address[]>): void {
  const fail = (cause: unknown) => {
    const message = cause instanceof Error ? cause.message : `The lookup of ${host} failed`;
    verdict.reject(new ResolveError('failed', message, { cause }));
  };
  // Own properties and no prototype: a polluted Object.prototype must not steer the resolver. `verbatim` is for
  // Node 20.0 to 20.12, which do not know `order`.
  const question: dns.LookupAllOptions = Object.assign(Object.create(null), {
    all: true,
    family,
    hints: 0,
    order: 'verbatim',
    verbatim: true,
  });
  try {
    const returned = ask(host, question, (error, answer) => {
      // Hooks are outside code: any value may stand here, whatever the types say.
      if (error) return fail(error);
      try {
        verdict.resolve(usable(host, answer, family));
      } catch (unusable) {
        verdict.reject(unusable);
      }
    });
    // An `async` hook that throws would otherwise be an unhandled rejection and an answer that never comes.
    if (returned instanceof Promise) returned.catch(fail);
  } catch (error) {
    fail(error);
  }
}

function usable(host: string, answer: unknown, family: 0 | 4 | 6): readonly Address[] {
  const found = new Map<string, Address>();
  for (const entry of Array.isArray(answer) ? answer : [answer]) {
    const literal = literalOf(entry);
    if (literal !== undefined && (family === 0 || literal.family === family) && !found.has(literal.address)) {
      found.set(literal.address, literal);
    }
  }
  if (found.size === 0) {
    const wanted = family === 0 ? 'IP address' : `IPv${family} address`;
    throw new ResolveError('failed', `No ${wanted} for ${host}`);
  }
  return [...found.values()];
}

/** The family is read off the literal: an entry that calls `::1` IPv4 must not get it dialled as such. */
function literalOf(entry: unknown): Address | undefined {
  const address = typeof entry === 'object' && entry !== null ? ownAddress(entry) : entry;
  if (typeof address !== 'string') return undefined;
  const family = net.isIP(address);
  return family === 4 || family === 6 ? { address, family } : undefined;
}

/** An entry without an address must not get that of a polluted Object.prototype. */
function ownAddress(entry: object): unknown {
  return 'address' in entry && Object.hasOwn(entry, 'address') ? entry.address : undefined;
}
