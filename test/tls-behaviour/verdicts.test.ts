/**
 * The verdict on each server of the lab under each way to ask for verification: accepted, or which SSLError.
 *
 * The rows are servers, with one thing wrong about each; the columns are what a client may want checked, each in all the
 * spellings that mean it. Everything goes through the public options of a manager.
 */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { HTTPSConnectionPoolOptions } from '../../src/connectionpool.js';
import { SSLError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';
import { createUrllib3Context } from '../../src/util/ssl_.js';
import { watchHandles } from '../support/leaks.js';
import { type Certificate, rootAuthority } from '../support/tls-certificates.js';
import { type LabServer, SITES, type SiteName, type TlsLab, tlsLab } from '../support/tls-lab.js';

watchHandles();

let lab: TlsLab;
let otherRoot: Certificate;
beforeAll(async () => {
  lab = await tlsLab();
  otherRoot = await rootAuthority('Other root');
  vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});
afterAll(async () => {
  vi.restoreAllMocks();
  await lab[Symbol.asyncDispose]();
});

type Verdict = 'ok' | `code ${string}`;

/** What is wanted: chain and name are checked, the chain alone, the chain against Node's own roots, or nothing. */
interface Row {
  readonly trusted: Verdict;
  readonly anyName: Verdict;
  readonly byDefault: Verdict;
  readonly unverified: Verdict;
}

const NAME = 'code ERR_TLS_CERT_ALTNAME_INVALID';
const ISSUER = 'code UNABLE_TO_GET_ISSUER_CERT_LOCALLY';
const VERSION = 'code ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION';

const GOOD: Row = { trusted: 'ok', anyName: 'ok', byDefault: ISSUER, unverified: 'ok' };
const MISNAMED: Row = { ...GOOD, trusted: NAME };
const TOO_OLD: Row = { trusted: VERSION, anyName: VERSION, byDefault: VERSION, unverified: VERSION };

/** A chain that does not hold, whatever the name. */
function broken(code: string, byDefault = code): Row {
  return { trusted: `code ${code}`, anyName: `code ${code}`, byDefault: `code ${byDefault}`, unverified: 'ok' };
}

const TABLE: Readonly<Record<SiteName, Row>> = {
  good: GOOD,
  rsa: GOOD,
  severalNames: GOOD,
  upperCase: GOOD,
  withRoot: { ...GOOD, byDefault: 'code SELF_SIGNED_CERT_IN_CHAIN' },
  directlyIssued: { ...GOOD, byDefault: 'code UNABLE_TO_VERIFY_LEAF_SIGNATURE' },

  expired: broken('CERT_HAS_EXPIRED'),
  notYetValid: broken('CERT_NOT_YET_VALID'),
  expiredIntermediate: broken('CERT_HAS_EXPIRED', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'),
  selfSigned: broken('DEPTH_ZERO_SELF_SIGNED_CERT'),
  untrustedRoot: broken('SELF_SIGNED_CERT_IN_CHAIN'),
  unknownIssuer: broken('UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
  missingIntermediate: broken('UNABLE_TO_VERIFY_LEAF_SIGNATURE'),
  forClients: broken('INVALID_PURPOSE'),
  // Node has no code of its own for what is too weak.
  sha1: broken('UNSPECIFIED'),
  weakKey: broken('UNSPECIFIED'),

  wrongHost: MISNAMED,
  wildcard: GOOD,
  wildcardTooDeep: MISNAMED,
  wildcardParent: MISNAMED,
  wildcardPartial: MISNAMED,
  wildcardPartialEnd: MISNAMED,
  wildcardInside: MISNAMED,
  wildcardTwice: MISNAMED,
  wildcardDoubled: MISNAMED,
  wildcardAlone: MISNAMED,
  wildcardTop: MISNAMED,
  wildcardInALabel: MISNAMED,
  wildcardForALabel: GOOD,

  commonNameOnly: MISNAMED,
  commonNameAside: MISNAMED,
  commonNameWithIp: MISNAMED,
  commonNameWithUri: MISNAMED,
  commonNameWithMail: MISNAMED,
  commonNameTwice: MISNAMED,
  commonNameTwiceReversed: MISNAMED,

  idn: GOOD,
  idnAsALabel: GOOD,
  idnOther: MISNAMED,
  idnInUtf8: MISNAMED,

  ip4: GOOD,
  ip6: GOOD,
  ip6LongForm: GOOD,
  ip4Other: MISNAMED,
  ip4AsDns: MISNAMED,
  ip4AsWildcard: MISNAMED,
  ip4AsCommonName: MISNAMED,
  ip4AsUri: MISNAMED,
  ip4AsMappedIp6: MISNAMED,
  dnsOfIp: MISNAMED,

  nulInName: MISNAMED,
  commaInName: MISNAMED,
  quotesInName: MISNAMED,
  commaInUri: MISNAMED,
  uriOfName: MISNAMED,

  tls10: TOO_OLD,
  tls11: TOO_OLD,
  tls12: GOOD,
  tls13: GOOD,
};

/** Every way to ask for what a column says. */
const COLUMNS: { readonly [K in keyof Row]: Record<string, (server: LabServer) => HTTPSConnectionPoolOptions> } = {
  trusted: {
    'caCerts: a path': () => ({ caCerts: lab.file('roots.pem', lab.root) }),
    'caCerts: PEM': () => ({ caCerts: lab.root }),
    'caCerts: a list': () => ({ caCerts: [lab.authorities.expiredIntermediate.pem, lab.root] }),
    'caCertDir: hashed': () => ({ caCertDir: lab.hashedFolder() }),
    'caCertDir: plain': () => ({ caCertDir: lab.plainFolder() }),
    CERT_OPTIONAL: () => ({ caCerts: lab.root, certReqs: 'CERT_OPTIONAL' }),
    'no assertHostname': () => ({ caCerts: lab.root, assertHostname: null, assertFingerprint: null }),
    sslContext: () => ({ sslContext: trustingContext() }),
    'sslContext, and caCerts of its own': () => ({ sslContext: createUrllib3Context(), caCerts: lab.root }),
  },
  anyName: {
    'assertHostname: false': () => ({ caCerts: lab.root, assertHostname: false }),
    'the SHA-256 pin': ({ certificate }) => ({
      caCerts: lab.root,
      assertFingerprint: certificate.fingerprint('sha256'),
    }),
    'the SHA-1 pin': ({ certificate }) => ({ caCerts: lab.root, assertFingerprint: certificate.fingerprint('sha1') }),
    'the MD5 pin': ({ certificate }) => ({ caCerts: lab.root, assertFingerprint: certificate.fingerprint('md5') }),
    'the pin before assertHostname': ({ certificate }) => ({
      caCerts: lab.root,
      assertFingerprint: certificate.fingerprint('sha256'),
      assertHostname: 'nobody.lab.test',
    }),
  },
  byDefault: {
    nothing: () => ({}),
    'certReqs: null': () => ({ certReqs: null, caCerts: null }),
    'assertHostname: false': () => ({ assertHostname: false }),
    'other roots': () => ({ caCerts: otherRoot.pem }),
  },
  unverified: {
    CERT_NONE: () => ({ certReqs: 'CERT_NONE' }),
    'CERT_NONE with a name': () => ({ certReqs: 'CERT_NONE', assertHostname: 'nobody.lab.test' }),
    'CERT_NONE with the pin': ({ certificate }) => ({
      certReqs: 'CERT_NONE',
      assertFingerprint: colons(certificate.fingerprint('sha256')),
    }),
  },
};

/** As `openssl x509 -fingerprint` prints it. */
function colons(fingerprint: string): string {
  return fingerprint.toUpperCase().replace(/(..)(?=.)/g, '$1:');
}

function trustingContext() {
  const context = createUrllib3Context();
  context.loadVerifyLocations({ caData: lab.root });
  return context;
}

async function verdictOf(server: LabServer, options: HTTPSConnectionPoolOptions): Promise<Verdict | unknown> {
  await using http = new PoolManager({ lookup: lab.lookup, retries: false, timeout: 10, ...options });
  try {
    const { status } = await http.request('GET', server.url);
    return status === 200 ? 'ok' : status;
  } catch (error) {
    return error instanceof SSLError ? `code ${error.code}` : error;
  }
}

/** One of each kind of trouble: what each way of asking is tried on. The first way is tried on all. */
const KINDS: ReadonlySet<SiteName> = new Set<SiteName>([
  'good',
  'expired',
  'selfSigned',
  'untrustedRoot',
  'missingIntermediate',
  'sha1',
  'wrongHost',
  'commonNameOnly',
  'ip4',
  'ip4AsDns',
  'tls10',
]);

describe.each(Object.keys(COLUMNS) as (keyof Row)[])('%s', (column) => {
  test.each(Object.keys(SITES) as SiteName[])('%s', async (name) => {
    const server = await lab.server(name);
    const ways = Object.entries(COLUMNS[column]).slice(0, KINDS.has(name) ? undefined : 1);
    const verdicts: Record<string, unknown> = {};
    for (const [way, options] of ways) verdicts[way] = await verdictOf(server, options(server));
    expect(verdicts).toEqual(Object.fromEntries(ways.map(([way]) => [way, TABLE[name][column]])));
  });
});
