/**
 * Hosts: a name or an IP address in the one spelling that the look-up, the Host field, TLS and a pool's key share
 * (RFC 3986 section 3.2.2, RFC 5952 and RFC 6874 for IPv6, UTS 46 for international names).
 *
 * Two texts that a resolver would take for one host come out equal, and a text in which two parsers could see two hosts
 * does not come out at all. Node's UTS 46 is asked about one label at a time, and its answer is checked again, because
 * alone it also maps, deletes and splits. Where a host stands in a URL, and hosts of other schemes: url.ts.
 */
import nodeUrl from 'node:url';
import type { LocationParseError } from '../exceptions.js';

/** Makes the error that says what is wrong, about the URL that the host stands in. */
export type Failure = (detail: string) => LocationParseError;

export const PERCENT_ENCODED = /%[0-9A-Fa-f]{2}/g;
export const NON_ASCII = /[^\u0000-\u007f]/;
const UNRESERVED = /^[A-Za-z0-9._~-]$/;
const NOT_IN_NAME = /[^A-Za-z0-9._~\-!$&'()*+,;=\u0080-\uffff]/;
/** What UTS 46 maps to nothing, but for the joiners, which it checks, and the mark that asks for an emoji's picture. */
const DELETED_BY_UTS46 = /(?!\u200c|\u200d|\ufe0f)\p{Default_Ignorable_Code_Point}/u;

/** RFC 1035 section 2.3.4, in octets; the name without its trailing dot. */
const MAX_LABEL = 63;
const MAX_NAME = 253;
/** No name of more characters than this becomes one of 253 octets: spares UTS 46 the work. */
const MAX_NAME_CHARACTERS = 4 * MAX_NAME;

/**
 * ZoneID of RFC 6874, narrower: letters, digits, `_`, `~`, `-`, and dots only before numbers as in `eth0.100`. Other dots
 * would let an address end like a name (`[::1%25.allowed.test]`, CVE-2025-22870).
 */
const ZONE = /^[A-Za-z0-9_~-]+(?:\.[0-9]+)*$/;

/** What is known of international names, one label at a time. */
export interface InternationalLabels {
  /** The label as ASCII; '' if it is none. */
  toASCII(label: string): string;
  /** Whether a label in ASCII that begins with `xn--` stands for one that is not, and is the one way to write it. */
  isFaithful(label: string): boolean;
}

const IPV6_GROUP = /^[0-9A-Fa-f]{1,4}$/;
const IPV4 = /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/;

/**
 * UTS 46 as the runtime has it: Node's own functions, or else, as in browsers, the URL class, which maps and checks the same but
 * has no way back. It is not needed: punycode (RFC 3492) that ends in a hyphen has no other characters than ASCII.
 */
export function internationalLabels(
  runtime: Partial<Pick<typeof nodeUrl, 'domainToASCII' | 'domainToUnicode'>>,
): InternationalLabels {
  const { domainToASCII, domainToUnicode } = runtime;
  if (domainToASCII !== undefined && domainToUnicode !== undefined) {
    const isFaithful = (label: string) => {
      const unicode = domainToUnicode(label);
      return NON_ASCII.test(unicode) && domainToASCII(unicode) === label;
    };
    return { toASCII: domainToASCII, isFaithful };
  }
  const toASCII = (label: string) => (URL.canParse(`http://${label}/`) ? new URL(`http://${label}/`).hostname : '');
  return { toASCII, isFaithful: (label) => !label.endsWith('-') && toASCII(label) === label };
}

const uts46 = internationalLabels(nodeUrl);

/** A name or an IPv4 address, in the one spelling that look-up, Host field, TLS and pool key share. */
export function normalizeName(host: string, failure: Failure): string {
  const name = host.replace(PERCENT_ENCODED, decodeUnreserved); // once, and before every check
  if (NOT_IN_NAME.test(name)) throw failure('the host holds a character that no host may hold');
  if (name.length > MAX_NAME_CHARACTERS) throw failure('the host is longer than 253 octets');
  const dot = name.endsWith('.') ? '.' : '';
  const labels = name.slice(0, name.length - dot.length).split('.');
  const ascii = labels.map((label) => normalizeLabel(label, failure));
  const address = parseIPv4(ascii);
  if (address === 'invalid') throw failure('the host ends in a number but is not an IPv4 address');
  if (address !== 'name') return address;
  const normalized = ascii.join('.');
  if (normalized.length > MAX_NAME) throw failure('the host is longer than 253 octets');
  return normalized + dot;
}

/**
 * One label as ASCII. What UTS 46 would turn into other plain ASCII, or delete, is refused: U+2100 and U+FF0F would give
 * delimiters, U+3002 a dot, U+212A and U+017F the names that a `k` and an `s` spell (CVE-2019-9636, CVE-2025-69224).
 */
function normalizeLabel(label: string, failure: Failure): string {
  if (label === '') throw failure('the host has an empty label');
  const isAscii = !NON_ASCII.test(label);
  const ascii = isAscii ? label.toLowerCase() : uts46.toASCII(label);
  if (ascii.length > MAX_LABEL) throw failure('a label of the host is longer than 63 octets');
  const isALabel = ascii.startsWith('xn--');
  if ((!isAscii && (!isALabel || DELETED_BY_UTS46.test(label))) || (isALabel && !isFaithfulALabel(ascii))) {
    throw failure('the host is not a valid international name');
  }
  return ascii;
}

/**
 * Only what stands for a non-ASCII label, and is the one way to write it: `xn--example-` would be a second `example`.
 * Of ASCII only letters, digits, hyphens and, beyond STD 3, the underscore that host names in use have.
 */
function isFaithfulALabel(label: string): boolean {
  return /^[a-z0-9_-]+$/.test(label) && uts46.isFaithful(label);
}

/**
 * The dotted quad for any form that resolvers take for an IPv4 address: `0x7f.1`, `0177.0.0.1`, `2130706433` (WHATWG URL,
 * "ends in a number"). A name cannot end in a number, so what looks like an address and is none is invalid.
 */
function parseIPv4(labels: readonly string[]): string | 'name' | 'invalid' {
  if (!/^(?:[0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? '')) return 'name';
  const numbers = labels.map(parseIPv4Number);
  const last = numbers.pop() ?? Number.NaN; // covers all the bytes that no other number does
  const isAddress = numbers.length <= 3 && numbers.every((n) => n <= 255) && last < 256 ** (4 - numbers.length);
  if (!isAddress) return 'invalid';
  const value = numbers.reduce((sum, number, index) => sum + number * 256 ** (3 - index), last);
  return [24, 16, 8, 0].map((bits) => Math.floor(value / 2 ** bits) % 256).join('.');
}

/** NaN, which fails every comparison, for what is no number. */
function parseIPv4Number(label: string): number {
  if (/^0x[0-9a-f]*$/.test(label)) return label === '0x' ? 0 : Number.parseInt(label, 16);
  if (/^0[0-7]*$/.test(label)) return Number.parseInt(label, 8);
  return /^[1-9][0-9]*$/.test(label) ? Number(label) : Number.NaN;
}

/** `[address]` or `[address%25zone]` (RFC 6874); the bare `%zone` of RFC 4007 is taken too. */
export function normalizeIPv6(host: string, failure: Failure): string {
  const inside = host.slice(1, -1);
  const percent = inside.indexOf('%');
  const address = percent < 0 ? inside : inside.slice(0, percent);
  if (host.length > MAX_NAME || !host.endsWith(']') || !isIPv6(address)) {
    throw failure('what stands in brackets must be an IPv6 address');
  }
  return percent < 0
    ? `[${ipv6Text(address)}]`
    : `[${ipv6Text(address)}%25${zoneName(inside.slice(percent), failure)}]`;
}

/** What follows `%25`, or a bare `%`; as in the reference `%25` alone is the zone 25. */
function zoneName(percentZone: string, failure: Failure): string {
  const encoded = percentZone.startsWith('%25') && percentZone !== '%25' ? percentZone.slice(3) : percentZone.slice(1);
  const name = encoded.replace(PERCENT_ENCODED, decodeUnreserved);
  if (!ZONE.test(name)) throw failure('the zone of the IPv6 address is not the name of an interface');
  return name;
}

/** The canonical text of RFC 5952 for a valid address: the first longest run of zeros as `::`, mapped IPv4 as such. */
function ipv6Text(address: string): string {
  const groups = ipv6Groups(address);
  const words = groups.map((group) => group.toString(16));
  const [high = 0, low = 0] = groups.slice(6);
  if (/^(?:0:){5}ffff:/.test(words.join(':'))) {
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  const { start, length } = longestZeros(groups);
  if (length < 2) return words.join(':');
  return `${words.slice(0, start).join(':')}::${words.slice(start + length).join(':')}`;
}

/**
 * Whether a text is an IPv6 address without a zone, as inet_pton(3) decides: eight groups of up to four hexadecimal digits, the
 * last two perhaps as a dotted quad, and `::` once at most for one group of zeros or more. Node's own function stands in
 * `node:net`, which not every runtime has.
 */
export function isIPv6(text: string): boolean {
  const halves = text.split('::', 3);
  const words = halves.flatMap((half) => (half === '' ? [] : half.split(':')));
  const last = words.at(-1) ?? '';
  const endsInIPv4 = IPV4.test(last) && text.endsWith(last);
  const count = words.length + (endsInIPv4 ? 1 : 0);
  const isWhole = halves.length === 1 ? count === 8 : halves.length === 2 && count <= 7;
  return isWhole && (endsInIPv4 ? words.slice(0, -1) : words).every((word) => IPV6_GROUP.test(word));
}

/** The eight groups of a valid IPv6 address without a zone. */
export function ipv6Groups(address: string): number[] {
  const [left = '', right] = address.split('::');
  const head = groupsOf(left);
  if (right === undefined) return head;
  const tail = groupsOf(right);
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((word) => {
    if (!word.includes('.')) return Number.parseInt(word, 16);
    const [a = 0, b = 0, c = 0, d = 0] = word.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function longestZeros(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  for (const [index, group] of groups.entries()) {
    length = group === 0 ? length + 1 : 0;
    if (length > best.length) best = { start: index + 1 - length, length };
  }
  return best;
}

function decodeUnreserved(encoded: string): string {
  const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16));
  return UNRESERVED.test(character) ? character : encoded;
}
