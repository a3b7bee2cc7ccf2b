/**
 * Whether a certificate is for the host that was asked for (RFC 9525, which succeeds RFC 6125).
 *
 * Only alternative names count, and each kind for its own: an IP address is found among addresses, compared as bytes, a DNS
 * name among DNS names. A `*` stands for exactly one whole label, the left-most, of a name with at least two more. The
 * common name counts where the caller asked for that and there is no list of alternative names at all. Hosts and names are
 * compared in ASCII: both are A-labels, and bytes beyond ASCII never match.
 *
 * `tls.checkServerIdentity` is laxer in each of these points.
 */
import { isIP, isIPv4 } from 'node:net';
import { excerpt } from '../excerpt.js';
import { ipv6Groups, NON_ASCII } from '../util/host.js';
import { type CertificateFacts, nameText } from './certificate.js';

/** A message lists this many names of a certificate: some have thousands (SEC-117). */
const MAX_NAMES_SHOWN = 5;

const HOST = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;

/** How a certificate was found to be for a host; null if it is not. */
export type Match = 'alternative-name' | 'common-name' | null;

/**
 * @param host - a DNS name in ASCII, or an IP address without brackets
 * @param usesCommonName - whether the common name counts in a certificate without alternative names
 */
export function matchHost(certificate: CertificateFacts, host: string, usesCommonName: boolean): Match {
  if (isIP(host) !== 0) {
    const address = addressBytes(host);
    return certificate.addresses.some((presented) => address.equals(presented)) ? 'alternative-name' : null;
  }
  const name = comparable(host);
  if (name === null) return null;
  const { hasAlternativeNames, dnsNames } = certificate;
  if (hasAlternativeNames) return dnsNames.some((presented) => matchName(presented, name)) ? 'alternative-name' : null;
  const { commonNames } = certificate.subject;
  const [commonName] = commonNames;
  const counts = usesCommonName && commonNames.length === 1 && commonName !== undefined;
  return counts && matchName(commonName, name) ? 'common-name' : null;
}

/** The host in lower case and without the dot that may end it; null for what no certificate can be for. */
function comparable(host: string): string | null {
  const name = (host.endsWith('.') ? host.slice(0, -1) : host).toLowerCase();
  return HOST.test(name) ? name : null;
}

function matchName(presented: string, name: string): boolean {
  // Beyond ASCII, a lower case letter may be that of another: of U+212A it is a plain `k`.
  if (NON_ASCII.test(presented)) return false;
  if (!presented.startsWith('*.')) return presented.length === name.length && presented.toLowerCase() === name;
  const parent = presented.slice(1).toLowerCase(); // with its dot
  if (!HOST.test(parent.slice(1)) || !parent.includes('.', 1)) return false;
  const dot = name.indexOf('.');
  return dot > 0 && name.length - dot === parent.length && name.endsWith(parent);
}

/** The bytes of an IP address, four or sixteen; a zone is not part of it. */
export function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const bytes = Buffer.alloc(16);
  for (const [index, group] of ipv6Groups(address.replace(/%.*/, '')).entries()) bytes.writeUInt16BE(group, 2 * index);
  return bytes;
}

/** Says for a message whom a certificate is for, the first of its names and how many more there are, and for whom not. */
export function presentedNames(certificate: CertificateFacts, host: string): string {
  const { dnsNames, addresses, hasAlternativeNames, subject } = certificate;
  const count = dnsNames.length + addresses.length;
  // A DNS name that looks like an address is none.
  const kind = (name: string) => (isIP(host) === 0 ? '' : name);
  const refused = `not for ${kind('the address ')}${excerpt(host)}`;
  if (count === 0) {
    const list = hasAlternativeNames ? 'no DNS name and no address' : 'no list of names (subjectAltName)';
    return `has ${list}, only the common name ${excerpt(nameText(subject))}, and is ${refused}`;
  }
  const names = dnsNames.slice(0, MAX_NAMES_SHOWN).map((name) => `${kind('the DNS name ')}${excerpt(name)}`);
  const room = MAX_NAMES_SHOWN - names.length;
  names.push(...addresses.slice(0, room).map((address) => `${kind('the address ')}${excerpt(addressText(address))}`));
  const more = count - names.length;
  return `is for ${names.join(', ')}${more === 0 ? '' : ` and ${more} more`}, ${refused}`;
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length !== 16) return bytes.toString('hex');
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16));
  return groups.join(':');
}

/**
 * Whether a host is an IP address, without brackets; a zone may follow.
 *
 * @see Reference, "urllib3.util.ssl_"
 */
export function isIpaddress(hostname: string | Uint8Array): boolean {
  return isIP(typeof hostname === 'string' ? hostname : Buffer.from(hostname).toString('latin1')) !== 0;
}
