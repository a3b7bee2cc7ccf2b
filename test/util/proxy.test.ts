import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import { LocationParseError, ProxySchemeUnknown } from '../../src/exceptions.js';
import { environmentProxies } from '../../src/util/proxy.js';
import { Url } from '../../src/util/url.js';

const PROXY = 'http://proxy.test:3128';

/** What the proxies of `env` are for a plain and a TLS request. */
function proxies(env: Record<string, string | undefined>) {
  const { proxyFor } = environmentProxies(env);
  return { http: proxyFor('http://a.test/'), https: proxyFor('https://a.test/') };
}

describe('environmentProxies() finds the proxy', () => {
  test.each<[name: string, env: Record<string, string | undefined>, http: string | null, https: string | null]>([
    ['nowhere', {}, null, null],
    ['of each scheme', { http_proxy: 'http://p:1', https_proxy: 'http://p:2' }, 'http://p:1', 'http://p:2'],
    ['of one scheme only', { https_proxy: 'http://p:2' }, null, 'http://p:2'],
    ['of all schemes', { all_proxy: 'http://p:3' }, 'http://p:3', 'http://p:3'],
    [
      'of the scheme before that of all',
      { http_proxy: 'http://p:1', ALL_PROXY: 'http://p:3' },
      'http://p:1',
      'http://p:3',
    ],
    ['in upper case', { HTTP_PROXY: 'http://p:1', HTTPS_PROXY: 'http://p:2' }, 'http://p:1', 'http://p:2'],
    ['in lower case first', { HTTP_PROXY: 'http://p:1', http_proxy: 'http://p:2' }, 'http://p:2', null],
    [
      'in lower case first, for all schemes',
      { ALL_PROXY: 'http://p:1', all_proxy: 'http://p:2' },
      'http://p:2',
      'http://p:2',
    ],
    ['behind an empty variable', { http_proxy: ' ', HTTP_PROXY: 'http://p:1' }, 'http://p:1', null],
    ['behind an undefined variable', { http_proxy: undefined, ALL_PROXY: 'http://p:1' }, 'http://p:1', 'http://p:1'],
    ['not under a name in mixed case', { Http_Proxy: 'http://p:1' }, null, null],
    ['with blanks around it', { all_proxy: ' http://p:1\n' }, 'http://p:1', 'http://p:1'],
    ['without a scheme', { all_proxy: 'p:1' }, 'http://p:1', 'http://p:1'],
    ['without a scheme, with a login', { all_proxy: 'u:p@p:1' }, 'http://u:p@p:1', 'http://u:p@p:1'],
    ['without a scheme or a port', { all_proxy: 'localhost' }, 'http://localhost', 'http://localhost'],
    ['that is an IPv6 address', { all_proxy: '[::1]:3128' }, 'http://[::1]:3128', 'http://[::1]:3128'],
    ['over TLS', { all_proxy: 'HTTPS://P:1/' }, 'https://p:1/', 'https://p:1/'],
    ...['socks4', 'socks4a', 'socks5', 'socks5h'].map((scheme): [string, Record<string, string>, string, string] => [
      `of scheme ${scheme}`,
      { all_proxy: `${scheme}://u@p:1` },
      `${scheme}://u@p:1`,
      `${scheme}://u@p:1`,
    ]),
  ])('%s', (_name, env, http, https) => {
    expect(proxies(env)).toEqual({ http, https });
  });

  test('of this process, as it was when they were read', () => {
    vi.stubEnv('http_proxy', PROXY);
    vi.stubEnv('no_proxy', '');
    vi.stubEnv('NO_PROXY', '');
    const { proxyFor } = environmentProxies();
    vi.stubEnv('http_proxy', 'http://other.test');
    expect(proxyFor('http://a.test/')).toBe(PROXY);
    vi.unstubAllEnvs();
  });

  test('for no other scheme than http and https', () => {
    const { proxyFor } = environmentProxies({ all_proxy: PROXY });
    expect(proxyFor('ftp://a.test/')).toBeNull();
    expect(proxyFor('a.test/')).toBeNull();
  });

  test('only in own properties', () => {
    const env: Record<string, string> = Object.create({ http_proxy: PROXY, https_proxy: PROXY, all_proxy: PROXY });
    expect(proxies(env)).toEqual({ http: null, https: null });
  });
});

describe('SEC-084 (CVE-2016-5385, CVE-2016-5386): environmentProxies() in a CGI program', () => {
  test.each<[name: string, env: Record<string, string>, http: string | null]>([
    ['ignores HTTP_PROXY, which a field named Proxy sets', { HTTP_PROXY: 'http://evil.test' }, null],
    ['goes on to what stands for all', { HTTP_PROXY: 'http://evil.test', ALL_PROXY: PROXY }, PROXY],
    ['takes http_proxy', { HTTP_PROXY: 'http://evil.test', http_proxy: PROXY }, PROXY],
  ])('%s', (_name, env, http) => {
    for (const REQUEST_METHOD of ['GET', '']) expect(proxies({ ...env, REQUEST_METHOD }).http).toBe(http);
  });

  test('takes HTTPS_PROXY, which no field can set', () => {
    expect(proxies({ HTTPS_PROXY: PROXY, REQUEST_METHOD: 'GET' }).https).toBe(PROXY);
  });

  test('is not deceived by an environment that knows no letter case, as on Windows', () => {
    const windows = new Proxy<Record<string, string>>(
      { HTTP_PROXY: 'http://evil.test', REQUEST_METHOD: 'GET' },
      { get: (env, name) => Reflect.get(env, String(name).toUpperCase()) },
    );
    expect(windows.http_proxy).toBe('http://evil.test');
    expect(proxies(windows).http).toBeNull();
  });
});

describe('SEC-085 (CVE-2025-22870, CVE-2025-62718): no_proxy', () => {
  test.each<[list: string, direct: string[], proxied: string[]]>([
    ['', [], ['http://a.test/', 'http://localhost/', 'http://127.0.0.1/', 'http://[::1]/']],
    ['*', ['http://a.test/', 'https://[::1]:8080/', 'http://192.0.2.1/'], []],
    ['x.test, *', ['http://a.test/'], []],
    [
      'a.test',
      ['http://a.test/', 'http://A.TEST/', 'http://a.test./', 'http://b.a.test/', 'https://c.b.a.test:8080/'],
      ['http://evila.test/', 'http://a.test.evil/', 'http://test/', 'http://a-test/', 'http://a.tes/'],
    ],
    ['.a.test', ['http://a.test/', 'http://b.a.test/'], ['http://evila.test/']],
    ['..a.test', ['http://a.test/'], ['http://evila.test/']],
    ['*.a.test', ['http://b.a.test/', 'http://c.b.a.test/'], ['http://a.test/', 'http://evila.test/']],
    ['A.Test.', ['http://a.test/', 'http://b.a.test./'], ['http://evila.test/']],
    ['münchen.test', ['http://xn--mnchen-3ya.test/', 'http://b.MÜNCHEN.test/'], ['http://munchen.test/']],
    [
      'a.test:8080',
      ['http://a.test:8080/', 'https://b.a.test:8080/'],
      ['http://a.test/', 'https://a.test/', 'http://a.test:80/', 'http://a.test:18080/'],
    ],
    ['a.test:80', ['http://a.test/', 'http://a.test:80/'], ['https://a.test/']],
    ['a.test:443', ['https://a.test/'], ['http://a.test/']],
    ['*:8080', ['http://a.test:8080/', 'http://[::1]:8080/'], ['http://a.test/']],
    [' , a.test\t b.test,,', ['http://a.test/', 'http://b.test/'], ['http://c.test/']],
    [
      '192.0.2.1',
      ['http://192.0.2.1/', 'http://[::ffff:192.0.2.1]/', 'http://[::ffff:c000:201]/', 'http://0xc0000201/'],
      ['http://192.0.2.10/', 'http://192.0.2.1.a.test/', 'http://[::c000:201]/'],
    ],
    ['192.0.2.1:8080', ['http://192.0.2.1:8080/'], ['http://192.0.2.1/']],
    ['::ffff:192.0.2.1', ['http://192.0.2.1/'], ['http://192.0.2.2/']],
    [
      '127.0.0.0/8',
      ['http://127.0.0.1/', 'http://127.255.255.255:8080/', 'http://127.1/', 'http://[::ffff:127.0.0.1]/'],
      ['http://128.0.0.1/', 'http://localhost/', 'http://[::1]/', 'http://127.a.test/'],
    ],
    ['10.1.2.3/8', ['http://10.9.9.9/'], ['http://11.0.0.0/']],
    ['::ffff:10.0.0.0/104', ['http://10.9.9.9/'], ['http://11.0.0.0/', 'http://[::1]/']],
    ['0.0.0.0/0', ['http://192.0.2.1/'], ['http://[::1]/', 'http://a.test/']],
    ['[::1]', ['http://[::1]/', 'http://[0:0:0:0:0:0:0:1]:8080/'], ['http://[::2]/', 'http://1/']],
    ['::1', ['http://[::1]/', 'http://[::1%25eth0]/'], ['http://[::2]/']],
    ['fe80::1%eth0', ['http://[fe80::1%25eth0]/', 'http://[fe80::1]/'], ['http://[fe80::2%25eth0]/']],
    ['[::1]:8080', ['http://[::1]:8080/'], ['http://[::1]/', 'http://[::8080]/']],
    ['2001:db8::/32', ['http://[2001:db8:ffff::1]/'], ['http://[2001:db9::1]/', 'http://192.0.2.1/']],
    ['[2001:db8::]/32', ['http://[2001:db8:ffff::1]/'], ['http://[2001:db9::1]/']],
    // What other programs may understand is not guessed at.
    ...[
      '192.0.2.0/33',
      '::1/129',
      '192.0.2.0/x',
      '192.0.2.0/',
      'a.test/8',
      '::ffff:192.0.2.1/95',
      '<local>',
      'http://a.test',
      'a.test:x',
      'a..test',
      '[::1',
      '.',
      '192.0.2.*',
    ].map((entry): [string, string[], string[]] => [
      entry,
      [],
      ['http://192.0.2.1/', 'http://[::1]/', 'http://a.test/', 'http://localhost/'],
    ]),
  ])('"%s"', (list, direct, proxied) => {
    const { proxyFor } = environmentProxies({ all_proxy: PROXY, NO_PROXY: list });
    expect(direct.map((url) => [url, proxyFor(url)])).toEqual(direct.map((url) => [url, null]));
    expect(proxied.map((url) => [url, proxyFor(url)])).toEqual(proxied.map((url) => [url, PROXY]));
  });

  test('a zone cannot make an address end like a name', () => {
    const { proxyFor } = environmentProxies({ all_proxy: PROXY, NO_PROXY: 'a.test' });
    expect(() => proxyFor('http://[::1%25x.a.test]/')).toThrow(LocationParseError);
    expect(proxyFor(new Url('http', null, '[::1%25a]', 80))).toBe(PROXY);
  });

  test('holds for a Url of parts that nobody has normalised', () => {
    const { proxyFor } = environmentProxies({ all_proxy: PROXY, NO_PROXY: 'a.test, 127.0.0.1' });
    expect(proxyFor(new Url('HTTP', null, 'A.TEST'))).toBeNull();
    expect(proxyFor(new Url('http', null, '0x7f.1'))).toBeNull();
  });

  test('in lower case counts before upper case', () => {
    const env = { all_proxy: PROXY, no_proxy: 'a.test', NO_PROXY: 'b.test' };
    const { proxyFor } = environmentProxies(env);
    expect(proxyFor('http://a.test/')).toBeNull();
    expect(proxyFor('http://b.test/')).toBe(PROXY);
  });

  test('may be any text: what it excepts is never the proxy itself, and nothing else is thrown', () => {
    const entries = fc.string({ unit: fc.constantFrom(...'a.*:/[]%0128f ,é') });
    fc.assert(
      fc.property(entries, (NO_PROXY) => {
        expect([null, PROXY]).toContain(environmentProxies({ all_proxy: PROXY, NO_PROXY }).proxyFor('http://a.a/'));
      }),
    );
  });
});

describe('SEC-090: environmentProxies() does not go direct because of', () => {
  test.each(['ftp://p:1', 'socks://p:1', 'socks6://p:1', 'file:///etc/passwd', '://p:1'])('the scheme of %s', (url) => {
    const read = () => environmentProxies({ HTTPS_PROXY: url });
    expect(read).toThrow(ProxySchemeUnknown);
    expect(read).toThrow('the environment variable HTTPS_PROXY must hold the URL of a proxy');
  });

  test.each(['http://', 'http://p:99999', 'p q', 'http://p\\q', '//p:1'])('the URL "%s"', (url) => {
    const read = () => environmentProxies({ ALL_PROXY: url });
    expect(read).toThrow(LocationParseError);
    expect(read).toThrow('the environment variable ALL_PROXY must hold the URL of a proxy');
  });

  test('a variable that does not count does not fail either', () => {
    const env = { http_proxy: PROXY, HTTP_PROXY: 'ftp://p' };
    expect(proxies(env).http).toBe(PROXY);
  });
});

test('SEC-083: neither the errors of environmentProxies() nor what it gives shows a password', () => {
  const shown = inspect(environmentProxies({ all_proxy: 'http://user:secret@p:1' }), { depth: 9, showHidden: true });
  expect(shown).not.toContain('secret');
  for (const url of ['ftp://user:secret@p:1', 'http://user:secret@p:x', 'user:sec/secret@p:1']) {
    let caught: unknown;
    try {
      environmentProxies({ all_proxy: url });
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(Error);
    expect(inspect(caught, { depth: 9 })).not.toContain('secret');
  }
});
