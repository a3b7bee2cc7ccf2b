/**
 * The verdict on each server of the lab under each way to ask for verification: accepted, or which SSLError.
 *
 * The rows are servers, with one thing wrong about each; the columns are what a client may want checked, each in all the
 * spellings that mean it. Everything goes through the public options of a manager.
 */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { ConnectionPoolKw } from '../../src/connectionpool.js';
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
const COLUMNS: { readonly [K in keyof Row]: Record<string, (server: LabServer) => ConnectionPoolKw> } = {
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

async function verdictOf(server: LabServer, options: ConnectionPoolKw): Promise<Verdict | unknown> {
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

/** Published cases that a server stands for, in one sentence each. */
const CASES: Partial<Record<SiteName, string>> = {
  ip4AsDns: 'SEC-066 (CVE-2014-0139): an address that stands among the DNS names is no address',
  ip4AsWildcard: 'SEC-066 (CVE-2014-2522): a wildcard matches no address',
  ip4AsCommonName: 'SEC-066 (CVE-2014-1263): an address as common name is no address',
  ip4AsUri: 'SEC-066 (CVE-2024-2466): an address in a URI is no address',
  ip6LongForm: 'SEC-066 (urllib3 #5029): addresses are compared as bytes, however they are written',
  ip4: 'SEC-066: an address among the addresses matches',
  commonNameOnly: 'SEC-067 (CVE-2014-3577): a common name is no name, even where there is no other',
  commonNameAside: 'SEC-067 (CVE-2012-6153): a common name is no name beside alternative names',
  commonNameWithIp: 'SEC-067 (CVE-2021-44533): a common name is no name beside an address',
  commonNameWithUri: 'SEC-067 (CVE-2021-44533): a common name is no name beside a URI',
  commonNameWithMail: 'SEC-067 (CVE-2021-44533): a common name is no name beside a mail address',
  commonNameTwice: 'SEC-067 (CVE-2021-44533): none of two common names is a name',
  commonNameTwiceReversed: 'SEC-067 (CVE-2021-44533): none of two common names is a name, in the other order',
  wildcard: 'SEC-068: a star stands for one whole label, the left-most',
  wildcardTooDeep: 'SEC-068 (CVE-2013-2099): a star does not stand for two labels',
  wildcardParent: 'SEC-068 (CVE-2015-1855): a star does not stand for no label',
  wildcardPartial: 'SEC-068 (CVE-2016-7099): a star does not stand for the end of a label',
  wildcardPartialEnd: 'SEC-068 (CVE-2016-9952): a star does not stand for the beginning of a label',
  wildcardInside: 'SEC-068 (CVE-2015-1855): a star inside a name stands for nothing',
  wildcardTwice: 'SEC-068 (CVE-2013-7440): two stars stand for nothing',
  wildcardDoubled: 'SEC-068 (CVE-2013-7440): a doubled star stands for nothing',
  wildcardAlone: 'SEC-068 (CVE-2016-7099): a star alone stands for nothing',
  wildcardTop: 'SEC-068 (CVE-2016-9952): a star below a top-level domain stands for nothing',
  wildcardInALabel: 'SEC-068 (CVE-2023-28321): a star does not stand for a part of an international label',
  idnInUtf8: 'SEC-069 (CVE-2021-0341): bytes beyond ASCII in a certificate match nothing',
  idnOther: 'SEC-069 (CVE-2026-63374): an international name is not the one with the marks left out',
  nulInName: 'SEC-070 (CVE-2009-2417, CVE-2013-4238): a NUL does not end a name',
  commaInName: 'SEC-070 (CVE-2021-44532): a comma in a name does not begin another',
  quotesInName: 'SEC-070 (CVE-2021-44532): quotes in a name do not either',
  commaInUri: 'SEC-070 (CVE-2021-44532): a comma in a URI does not begin a name',
  uriOfName: 'SEC-070 (CVE-2021-44531): the host of a URI is no name',
  tls10: 'SEC-072 (CVE-2011-3389): TLS 1.0 is not spoken by default',
  tls11: 'SEC-072 (CVE-2011-3389): TLS 1.1 is not spoken by default',
};

const ROWS = Object.keys(SITES).map((key) => {
  // The keys of SITES are what SiteName is.
  const name = key as SiteName;
  return { name, what: CASES[name] === undefined ? name : `${name}: ${CASES[name]}` };
});

// The keys of COLUMNS are those of Row.
describe.each(Object.keys(COLUMNS) as (keyof Row)[])('%s', (column) => {
  test.each(ROWS)('$what', async ({ name }) => {
    const server = await lab.server(name);
    const ways = Object.entries(COLUMNS[column]).slice(0, KINDS.has(name) ? undefined : 1);
    const verdicts: Record<string, unknown> = {};
    for (const [way, options] of ways) verdicts[way] = await verdictOf(server, options(server));
    expect(verdicts).toEqual(Object.fromEntries(ways.map(([way]) => [way, TABLE[name][column]])));
  });
});

describe('what no column says', () => {
  test.each(['sha1', 'weakKey'] as const)(
    'ciphers of one’s own do not lower the bar for keys and signatures (%s)',
    async (name) => {
      const server = await lab.server(name);
      for (const ciphers of [
        'TLS_AES_128_GCM_SHA256',
        'ECDHE+AESGCM',
        'TLS_AES_128_GCM_SHA256:ECDHE+AESGCM',
        'DEFAULT',
      ]) {
        expect(await verdictOf(server, { caCerts: lab.root, ciphers }), ciphers).toBe('code UNSPECIFIED');
      }
      expect(await verdictOf(server, { caCerts: lab.root, ciphers: 'DEFAULT:@SECLEVEL=0' })).toBe('ok');
    },
  );

  test('a self-signed certificate is trusted where it is given itself', async () => {
    const server = await lab.server('selfSigned');
    expect(await verdictOf(server, { caCerts: server.certificate.pem })).toBe('ok');
    const renamed = { ...server, url: server.url.replace('selfsigned', 'other') };
    expect(await verdictOf(renamed, { caCerts: server.certificate.pem })).toBe(NAME);
  });

  test('an intermediate authority alone is no root', async () => {
    const server = await lab.server('good');
    const verdict = await verdictOf(server, { caCerts: lab.authorities.intermediate.pem });
    expect(verdict).toBe('code UNABLE_TO_GET_ISSUER_CERT');
  });

  test('an intermediate authority beside the root stands in for one that a server leaves out', async () => {
    const caCerts = [lab.root, lab.authorities.intermediate.pem];
    expect(await verdictOf(await lab.server('missingIntermediate'), { caCerts })).toBe('ok');
  });

  test('serverHostname is verified in place of the host, and assertHostname in place of both', async () => {
    const server = await lab.server('wrongHost');
    const caCerts = lab.root;
    const [right, wrong] = ['elsewhere.lab.test', 'nobody.lab.test'];
    expect(await verdictOf(server, { caCerts, serverHostname: right })).toBe('ok');
    expect(await verdictOf(server, { caCerts, serverHostname: wrong })).toBe(NAME);
    expect(await verdictOf(server, { caCerts, assertHostname: right })).toBe('ok');
    expect(await verdictOf(server, { caCerts, assertHostname: wrong, serverHostname: right })).toBe(NAME);
    expect(await verdictOf(server, { caCerts, assertHostname: right, serverHostname: wrong })).toBe('ok');
    expect(await verdictOf(await lab.server('ip4'), { caCerts, assertHostname: '127.0.0.1' })).toBe('ok');
    expect(await verdictOf(await lab.server('ip6'), { caCerts, assertHostname: '[0:0::1]' })).toBe('ok');
    expect(await verdictOf(await lab.server('idn'), { caCerts, assertHostname: 'Bücher.lab.test.' })).toBe('ok');
  });
});
