import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { CertificateFacts } from '../../src/tls/certificate.js';
import { addressBytes, isIpaddress, matchHost, presentedNames } from '../../src/tls/identity.js';

/** A certificate that is for these, and has these common names. */
function certificate({
  dns = [],
  ip = [],
  cn = [],
  hasList = dns.length + ip.length > 0,
}: {
  dns?: readonly string[];
  ip?: readonly (string | Buffer)[];
  cn?: readonly string[];
  hasList?: boolean;
}): CertificateFacts {
  return {
    subject: { commonNames: cn, organization: null },
    issuer: { commonNames: [], organization: null },
    notBeforeMs: 0,
    notAfterMs: 0,
    hasAlternativeNames: hasList,
    dnsNames: dns,
    addresses: ip.map((address) => (typeof address === 'string' ? addressBytes(address) : address)),
    isSelfIssued: false,
  };
}

const matches = (host: string, facts: Parameters<typeof certificate>[0], usesCommonName = false) =>
  matchHost(certificate(facts), host, usesCommonName);

describe('matchHost()', () => {
  test.each([
    ['a.test', 'a.test'],
    ['A.Test', 'a.test'],
    ['a.test', 'A.TEST'],
    ['a.test.', 'a.test'],
    ['x.a.test', '*.a.test'],
    ['xn--bcher-kva.a.test', '*.a.test'],
    ['x.xn--bcher-kva.test', '*.XN--bcher-kva.test'],
    ['xn--bcher-kva.test', 'xn--bcher-kva.test'],
    ['a_b.a.test', '*.a.test'],
    ['localhost', 'localhost'],
  ])('finds %s in a certificate for %s', (host, presented) => {
    expect(matches(host, { dns: ['other.test', presented] })).toBe('alternative-name');
  });

  test.each([
    ['b.test', 'a.test'],
    ['xa.test', 'a.test'],
    ['a.test', 'a.test.'],
    ['a.test', ''],
    ['a.test', 'a.test\0.evil.test'],
    ['a.test', 'a.test, DNS:b.test'],
    ['k.test', '\u212a.test'],
    ['xn--bcher-kva.test', 'bücher.test'],
    ['bücher.test', 'bücher.test'],
    ['b\u00fccher.test', 'b\u00fccher.test'],
    ['a\u3002b.a.test', '*.a.test'],
    ['', ''],
    ['.a.test', '*.a.test'],
    ['*.a.test', '*.a.test'],
    ['a..test', 'a..test'],
  ])('SEC-069, SEC-070: does not find %j in a certificate for %j', (host, presented) => {
    expect(matches(host, { dns: [presented] })).toBeNull();
  });

  test.each([
    ['a.test', '*.a.test'],
    ['x.y.a.test', '*.a.test'],
    ['.a.test', '*.a.test'],
    ['foo.a.test', 'f*.a.test'],
    ['foo.a.test', '*o.a.test'],
    ['xn--bcher-kva.a.test', 'x*.a.test'],
    ['x.y.test', 'x.*.test'],
    ['x.y.test', '*.*.test'],
    ['x.a.test', '**.a.test'],
    ['x.test', '*.test'],
    ['test', '*'],
    ['x.a.test', '*.'],
    ['x..test', '*..test'],
    ['x.a.tesT', '*.a.te*'],
  ])('SEC-068 (CVE-2013-7440, CVE-2016-7099): %s does not match %s', (host, presented) => {
    expect(matches(host, { dns: [presented] })).toBeNull();
  });

  test('SEC-068 (CVE-2013-2099): a name of a hundred stars is no slow pattern', () => {
    const stars = `${'*a'.repeat(100)}.test`;
    const before = performance.now();
    for (let time = 0; time < 1_000; time++) expect(matches(`${'a'.repeat(60)}.test`, { dns: [stars] })).toBeNull();
    expect(performance.now() - before).toBeLessThan(1_000);
  });

  test('SEC-117 (CVE-2025-61729): 20,000 names and a host of 60 labels take no second, and the message is short', () => {
    const dns = Array.from({ length: 20_000 }, (_, index) => `*.${'a'.repeat(200)}.${index}.test`);
    const host = Array.from({ length: 60 }, () => 'a').join('.');
    const facts = certificate({ dns });
    const before = performance.now();
    expect(matchHost(facts, host, true)).toBeNull();
    expect(presentedNames(facts, host).length).toBeLessThan(4_096);
    expect(performance.now() - before).toBeLessThan(1_000);
  });

  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '0:0:0:0:0:0:0:1'],
    ['2001:DB8::a', '2001:db8:0:0::A'],
    ['fe80::1%eth0', 'fe80::1'],
  ])('SEC-066 (CVE-2014-0139): finds the address %s in a certificate for %s, by its bytes', (host, presented) => {
    expect(matches(host, { ip: ['10.0.0.1', presented] })).toBe('alternative-name');
  });

  test.each<[string, Parameters<typeof certificate>[0]]>([
    ['127.0.0.1', { dns: ['127.0.0.1'] }],
    ['127.0.0.1', { dns: ['*.0.0.1'] }],
    ['127.0.0.1', { cn: ['127.0.0.1'] }],
    ['127.0.0.1', { ip: ['127.0.0.2'] }],
    ['127.0.0.1', { ip: ['::ffff:127.0.0.1'] }],
    ['127.0.0.1', { ip: [Buffer.from([127, 0, 0])] }],
    ['::1', { dns: ['::1'] }],
    ['a.test', { ip: ['127.0.0.1'] }],
  ])('SEC-066 (CVE-2014-1263, CVE-2024-2466): does not find %s in %j', (host, facts) => {
    expect(matches(host, facts, true)).toBeNull();
  });

  test('SEC-067 (CVE-2014-3577, CVE-2021-44533): the common name counts only if that was asked for, alone and without a list', () => {
    expect(matches('a.test', { cn: ['a.test'] })).toBeNull();
    expect(matches('a.test', { cn: ['a.test'] }, true)).toBe('common-name');
    expect(matches('x.a.test', { cn: ['*.a.test'] }, true)).toBe('common-name');
    expect(matches('b.test', { cn: ['a.test'] }, true)).toBeNull();
    expect(matches('k.test', { cn: ['\u212a.test'] }, true)).toBeNull();
    expect(matches('a.test', { cn: [] }, true)).toBeNull();
    for (const rest of [{ ip: ['127.0.0.1'] }, { dns: ['b.test'] }, { hasList: true }, { cn: ['b.test', 'a.test'] }]) {
      expect(matches('a.test', { cn: ['a.test'], ...rest }, true)).toBeNull();
    }
  });

  test('agrees with a plain reading of the rules on names of few letters', () => {
    const label = fc.constantFrom('a', 'b', 'ab');
    const presentedLabel = fc.constantFrom('a', 'b', '*', 'a*', '');
    const host = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
    const name = fc.array(presentedLabel, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'));
    fc.assert(
      fc.property(host, name, (host, name) => {
        expect(matches(host, { dns: [name] }) !== null).toBe(plain(host, name));
      }),
    );
  });
});

/** RFC 9525 section 6.3, label by label. */
function plain(host: string, presented: string): boolean {
  const hosts = host.split('.');
  const [first, ...others] = presented.split('.');
  if (first !== '*') return host === presented;
  const isName = others.length >= 2 && others.every((label) => /^[ab]+$/.test(label));
  return isName && hosts.length === others.length + 1 && others.every((label, index) => label === hosts[index + 1]);
}

describe('presentedNames()', () => {
  test.each<[Parameters<typeof certificate>[0], string, string]>([
    [{ dns: ['a.test'] }, 'b.test', 'is for "a.test", not for "b.test"'],
    [
      { dns: ['a', 'b', 'c', 'd'], ip: ['127.0.0.1', '::1', '2001:db8::1'] },
      'e',
      'is for "a", "b", "c", "d", "127.0.0.1" and 2 more, not for "e"',
    ],
    [
      { dns: ['127.0.0.1'], ip: ['::1', Buffer.from('abc')] },
      '127.0.0.1',
      'is for the DNS name "127.0.0.1", the address "0:0:0:0:0:0:0:1", the address "616263", not for the address "127.0.0.1"',
    ],
    [
      { cn: ['a.test'] },
      'a.test',
      'has no list of names (subjectAltName), only the common name "a.test", and is not for "a.test"',
    ],
    [
      { hasList: true },
      'a',
      'has no DNS name and no address, only the common name "a certificate without a name", and is not for "a"',
    ],
    [{ dns: ['\x1b[31m\n'] }, 'a', 'is for "\\x1b[31m\\x0a", not for "a"'],
  ])('of %j asked for %s', (facts, host, text) => {
    expect(presentedNames(certificate(facts), host)).toBe(text);
  });
});

test('isIpaddress() tells addresses from names', () => {
  for (const address of ['127.0.0.1', '::1', 'fe80::1%eth0', Buffer.from('10.0.0.1')])
    expect(isIpaddress(address)).toBe(true);
  for (const name of ['a.test', '[::1]', '127.1', '', '1.2.3.4.5']) expect(isIpaddress(name)).toBe(false);
});
