import { inspect } from 'node:util';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { LocationParseError } from '../../src/exceptions.js';
import { getHost, isSameOrigin, joinUrl, parseUrl, splitFirst, Url } from '../../src/util/url.js';

type Fields = [
  scheme: string | null,
  auth: string | null,
  host: string | null,
  port: number | null,
  path: string | null,
  query: string | null,
  fragment: string | null,
];

/** What urllib3 2.7.0 answers: the text, and the seven fields. Where we are stricter or narrower: the tables below. */
const REFERENCE: Record<string, [url: string, ...fields: Fields][]> = {
  'whole URLs': [
    ['http://google.com/mail/', 'http', null, 'google.com', null, '/mail/', null, null],
    ['http://google.com', 'http', null, 'google.com', null, null, null, null],
    ['http://google.com/', 'http', null, 'google.com', null, '/', null, null],
    ['https://user:pass@host:8080/p/q?r=s#t', 'https', 'user:pass', 'host', 8080, '/p/q', 'r=s', 't'],
    ['HTTP://EXAMPLE.com:080/Path', 'http', null, 'example.com', 80, '/Path', null, null],
    ['http://h?a b', 'http', null, 'h', null, '', 'a%20b', null],
    ['http://google.com?q', 'http', null, 'google.com', null, '', 'q', null],
    ['http://google.com?', 'http', null, 'google.com', null, '', '', null],
    ['http://google.com#', 'http', null, 'google.com', null, '', null, ''],
    ['http://google.com#f', 'http', null, 'google.com', null, '', null, 'f'],
    ['http://google.com/?', 'http', null, 'google.com', null, '/', '', null],
    ['http://google.com/#', 'http', null, 'google.com', null, '/', null, ''],
    ['http://a/b?c?d#e#f', 'http', null, 'a', null, '/b', 'c?d', 'e%23f'],
    ['http://h/p;x=1?y=/?', 'http', null, 'h', null, '/p;x=1', 'y=/?', null],
    ['http://:80/', 'http', null, '', 80, '/', null, null],
    ['http:///x', 'http', null, null, null, '/x', null, null],
    ['http://', 'http', null, null, null, null, null, null],
    ['http:', 'http', null, null, null, null, null, null],
    ['http:x', 'http', null, null, null, '/x', null, null],
    ['http:/a/../b', 'http', null, null, null, '/b', null, null],
    ['http:?x', 'http', null, null, null, '', 'x', null],
    ['file:///etc/passwd', 'file', null, null, null, '/etc/passwd', null, null],
    ['mailto:a@b', 'mailto', null, null, null, '/a@b', null, null],
    ['data:,x', 'data', null, null, null, '/,x', null, null],
    ['ftp://h/../x', 'ftp', null, 'h', null, '/../x', null, null],
    ['a+b://h/%41', 'a+b', null, 'h', null, '/%41', null, null],
    ['javascript://h/', 'javascript', null, 'h', null, '/', null, null],
    ['socks5h://proxy:1080', 'socks5h', null, 'proxy', 1080, null, null, null],
  ],
  'without a scheme': [
    ['google.com', null, null, 'google.com', null, null, null, null],
    ['google.com:80', null, null, 'google.com', 80, null, null, null],
    ['google.com/mail/', null, null, 'google.com', null, '/mail/', null, null],
    ['google.com:80/a?b#c', null, null, 'google.com', 80, '/a', 'b', 'c'],
    ['/foo?bar', null, null, null, null, '/foo', 'bar', null],
    ['/', null, null, null, null, '/', null, null],
    ['/..', null, null, null, null, '/', null, null],
    ['foo/bar', null, null, 'foo', null, '/bar', null, null],
    ['foo?bar', null, null, 'foo', null, '', 'bar', null],
    ['?q', null, null, null, null, '', 'q', null],
    ['#f', null, null, null, null, '', null, 'f'],
    ['?', null, null, null, null, '', '', null],
    ['#', null, null, null, null, '', null, ''],
    ['//h/p', null, null, 'h', null, '/p', null, null],
    ['//u@h:1', null, 'u', 'h', 1, null, null, null],
    ['///x', null, null, null, null, '/x', null, null],
    ['////x', null, null, null, null, '//x', null, null],
    ['user@google.com/x', null, 'user', 'google.com', null, '/x', null, null],
    ['[::1]', null, null, '[::1]', null, null, null, null],
    ['[::1]:80', null, null, '[::1]', 80, null, null, null],
    ['1.2.3.4:8', null, null, '1.2.3.4', 8, null, null, null],
    ['localhost', null, null, 'localhost', null, null, null, null],
    ['localhost:80', 'localhost', null, null, null, '/80', null, null],
    ['u:p@h:80/x', 'u', null, null, null, '/p@h:80/x', null, null],
    ['a/b:c', null, null, 'a', null, '/b:c', null, null],
    ['1http://x', null, null, '1http', null, '//x', null, null],
    ['', null, null, null, null, null, null, null],
    ['//', null, null, null, null, null, null, null],
    [':80', null, null, '', 80, null, null, null],
    ['@', null, null, '', null, null, null, null],
    ['a@', null, 'a', '', null, null, null, null],
    ['h//x', null, null, 'h', null, '//x', null, null],
  ],
  'user-info': [
    ['http://u@h', 'http', 'u', 'h', null, null, null, null],
    ['http://u:p@h', 'http', 'u:p', 'h', null, null, null, null],
    ['http://u@v@h/', 'http', 'u%40v', 'h', null, '/', null, null],
    ['http://@h/', 'http', null, 'h', null, '/', null, null],
    ['http://:@h', 'http', ':', 'h', null, null, null, null],
    ['http://u:p%zz@h', 'http', 'u:p%25zz', 'h', null, null, null, null],
    ['http://u%40v:%3a@h', 'http', 'u%40v:%3A', 'h', null, null, null, null],
    ['http://ü:ß@h', 'http', '%C3%BC:%C3%9F', 'h', null, null, null, null],
    ['http://u;x=1:p!@h/', 'http', 'u;x=1:p!', 'h', null, '/', null, null],
    ['http://a"b@h', 'http', 'a%22b', 'h', null, null, null, null],
    ['http://u:p@h:8/@x', 'http', 'u:p', 'h', 8, '/@x', null, null],
    ['http://a[b]@h', 'http', 'a%5Bb%5D', 'h', null, null, null, null],
  ],
  ports: [
    ['http://h:', 'http', null, 'h', null, null, null, null],
    ['http://h:0/', 'http', null, 'h', 0, '/', null, null],
    ['http://h:1', 'http', null, 'h', 1, null, null, null],
    ['http://h:080', 'http', null, 'h', 80, null, null, null],
    ['http://h:00000000000080/', 'http', null, 'h', 80, '/', null, null],
    ['http://h:65535/', 'http', null, 'h', 65535, '/', null, null],
    ['https://h:443', 'https', null, 'h', 443, null, null, null],
  ],
  paths: [
    ['http://h/a/../b/./c/..', 'http', null, 'h', null, '/b/', null, null],
    ['http://h/..', 'http', null, 'h', null, '/', null, null],
    ['http://h/../../x', 'http', null, 'h', null, '/x', null, null],
    ['http://h/.', 'http', null, 'h', null, '/', null, null],
    ['http://h/...', 'http', null, 'h', null, '/...', null, null],
    ['http://h/a//../b', 'http', null, 'h', null, '/a/b', null, null],
    ['http://h//', 'http', null, 'h', null, '//', null, null],
    ['http://h/..//x', 'http', null, 'h', null, '/x', null, null],
    ['http://h/a/..', 'http', null, 'h', null, '/', null, null],
    ['http://h/./a/.', 'http', null, 'h', null, '/a/', null, null],
    ['/a/../b', null, null, null, null, '/b', null, null],
    ['/a/./', null, null, null, null, '/a/', null, null],
    ['http://h/%2e%2e/x', 'http', null, 'h', null, '/%2E%2E/x', null, null],
    ['http://h/a b', 'http', null, 'h', null, '/a%20b', null, null],
    ['http://h/\\x', 'http', null, 'h', null, '/%5Cx', null, null],
    ['http://h/[x]', 'http', null, 'h', null, '/%5Bx%5D', null, null],
    ['http://h/"<>^`{|}', 'http', null, 'h', null, '/%22%3C%3E%5E%60%7B%7C%7D', null, null],
    ['http://h/ü', 'http', null, 'h', null, '/%C3%BC', null, null],
    ['http://h/💩', 'http', null, 'h', null, '/%F0%9F%92%A9', null, null],
    ['http://h/%c3%a9', 'http', null, 'h', null, '/%C3%A9', null, null],
    ['http://h/%7e%2f', 'http', null, 'h', null, '/%7E%2F', null, null],
    ['http://h/%', 'http', null, 'h', null, '/%25', null, null],
    ['http://h/%zz%41', 'http', null, 'h', null, '/%25zz%2541', null, null],
    ['http://h/%zz/../%41', 'http', null, 'h', null, '/%41', null, null],
    ['http://h/%%41', 'http', null, 'h', null, '/%25%2541', null, null],
    ["http://h/!$&'()*+,;=:@~._-", 'http', null, 'h', null, "/!$&'()*+,;=:@~._-", null, null],
    ['http://h/a\tb\r\nc\u0000\x7f', 'http', null, 'h', null, '/a%09b%0D%0Ac%00%7F', null, null],
  ],
  'queries and fragments': [
    ['http://h/?ü#ß', 'http', null, 'h', null, '/', '%C3%BC', '%C3%9F'],
    ['http://h/?a=%zz%41', 'http', null, 'h', null, '/', 'a=%25zz%2541', null],
    ['http://h/#%zz%41', 'http', null, 'h', null, '/', null, '%25zz%2541'],
    ['http://h/?[x]#[y]', 'http', null, 'h', null, '/', '%5Bx%5D', '%5By%5D'],
    ['http://h/?a\r\nb#c\td', 'http', null, 'h', null, '/', 'a%0D%0Ab', 'c%09d'],
    ['http://h/?/?:@#/?:@', 'http', null, 'h', null, '/', '/?:@', '/?:@'],
    ['http://h/?..#..', 'http', null, 'h', null, '/', '..', '..'],
  ],
  hosts: [
    ['http://EXAMPLE.COM', 'http', null, 'example.com', null, null, null, null],
    ['http://h.', 'http', null, 'h.', null, null, null, null],
    ['http://a_b.com', 'http', null, 'a_b.com', null, null, null, null],
    ['http://-a-.com', 'http', null, '-a-.com', null, null, null, null],
    ['http://a--b.com', 'http', null, 'a--b.com', null, null, null, null],
    ['http://h;x/', 'http', null, 'h;x', null, '/', null, null],
    ['http://a,b!c', 'http', null, 'a,b!c', null, null, null, null],
    ['http://a~b', 'http', null, 'a~b', null, null, null, null],
    ['http://bücher.de', 'http', null, 'xn--bcher-kva.de', null, null, null, null],
    ['http://BÜCHER.de/', 'http', null, 'xn--bcher-kva.de', null, '/', null, null],
    ['http://faß.de', 'http', null, 'xn--fa-hia.de', null, null, null, null],
    ['http://xn--bcher-kva.de', 'http', null, 'xn--bcher-kva.de', null, null, null, null],
    ['http://XN--BCHER-KVA.de', 'http', null, 'xn--bcher-kva.de', null, null, null, null],
    ['http://例え.テスト', 'http', null, 'xn--r8jz45g.xn--zckzah', null, null, null, null],
    ['http://İ.com', 'http', null, 'xn--i-9bb.com', null, null, null, null],
    ['http://1.2.3.4', 'http', null, '1.2.3.4', null, null, null, null],
    ['http://1.2.3.4:80/', 'http', null, '1.2.3.4', 80, '/', null, null],
    ['http://1a', 'http', null, '1a', null, null, null, null],
    ['http://[::1]', 'http', null, '[::1]', null, null, null, null],
    ['http://[::1]:80/', 'http', null, '[::1]', 80, '/', null, null],
    ['http://[FE80::ABCD]', 'http', null, '[fe80::abcd]', null, null, null, null],
    ['http://[2001:db8::1]', 'http', null, '[2001:db8::1]', null, null, null, null],
    ['http://[::ffff:1.2.3.4]', 'http', null, '[::ffff:1.2.3.4]', null, null, null, null],
    ['http://[::]', 'http', null, '[::]', null, null, null, null],
    ['http://u@[::1]:1', 'http', 'u', '[::1]', 1, null, null, null],
  ],
};

/** 253 octets, in labels of 63 and less. */
const LONGEST_NAME = [63, 63, 63, 61].map((length) => 'a'.repeat(length)).join('.');

describe.each(Object.entries(REFERENCE))('parseUrl() reads as the reference does: %s', (_group, cases) => {
  test.each(cases)('%j', (url, ...fields) => {
    expect([...parseUrl(url)]).toEqual(fields);
  });
});

describe('parseUrl() gives a host in one spelling', () => {
  test.each([
    // IPv4 in every form that a resolver takes
    ['http://0177.0.0.1', '127.0.0.1'],
    ['http://0x7f000001', '127.0.0.1'],
    ['http://0X7F.1', '127.0.0.1'],
    ['http://2130706433', '127.0.0.1'],
    ['http://127.1', '127.0.0.1'],
    ['http://127.0.1', '127.0.0.1'],
    ['http://1.2.772', '1.2.3.4'],
    ['http://127.0.0.1.', '127.0.0.1'],
    ['http://0', '0.0.0.0'],
    ['http://0x', '0.0.0.0'],
    ['http://4294967295', '255.255.255.255'],
    ['http://255.16777215', '255.255.255.255'],
    ['2130706433:80', '127.0.0.1'],
    ['http://%31%32%37.0.0.1', '127.0.0.1'],
    // IPv6 as RFC 5952 writes it
    ['http://[0:0:0:0:0:0:0:1]', '[::1]'],
    ['http://[0000:0000::0001]', '[::1]'],
    ['http://[0:0:0:0:0:0:0:0]', '[::]'],
    ['http://[2001:DB8:0:0:1:0:0:1]', '[2001:db8::1:0:0:1]'],
    ['http://[2001:db8:0:1:1:1:1:1]', '[2001:db8:0:1:1:1:1:1]'],
    ['http://[1:0:0:2:0:0:0:3]', '[1:0:0:2::3]'],
    ['http://[1:2:3:4:5:6:7::]', '[1:2:3:4:5:6:7:0]'],
    ['http://[1:2:3:4:5:6:0:0]', '[1:2:3:4:5:6::]'],
    ['http://[::ffff:7f00:1]', '[::ffff:127.0.0.1]'],
    ['http://[0:0:0:0:0:FFFF:127.0.0.1]', '[::ffff:127.0.0.1]'],
    ['http://[::127.0.0.1]', '[::7f00:1]'],
    ['http://[64:ff9b::127.0.0.1]', '[64:ff9b::7f00:1]'],
    // zones as RFC 6874 writes them
    ['http://[fe80::1%25eth0]', '[fe80::1%25eth0]'],
    ['http://[FE80:0::1%eth0]:80/', '[fe80::1%25eth0]'],
    ['http://[fe80::1%25Eth0]', '[fe80::1%25Eth0]'],
    ['http://[fe80::1%25eth0.100]', '[fe80::1%25eth0.100]'],
    ['http://[fe80::1%25en%2d0]', '[fe80::1%25en-0]'],
    ['http://[fe80::1%251]', '[fe80::1%251]'],
    ['http://[fe80::1%25]', '[fe80::1%2525]'],
    ['[fe80::1%25eth0]:80', '[fe80::1%25eth0]'],
    // names
    ['http://A%42.com', 'ab.com'],
    ['http://a.b%2ec', 'a.b.c'],
    ['http://☃.net', 'xn--n3h.net'],
    ['http://❤\ufe0f.ws', 'xn--qei.ws'],
    ['http://💩.la.', 'xn--ls8h.la.'],
    ['http://bu\u0308cher.de', 'xn--bcher-kva.de'],
    ['http://ü_x.de', 'xn--_x-wka.de'],
    [`http://${LONGEST_NAME}`, LONGEST_NAME],
    [`http://${LONGEST_NAME}.`, `${LONGEST_NAME}.`],
    [`http://${'ü'.repeat(57)}.de`, `xn--tda${'a'.repeat(56)}.de`],
    // proxies are dialled too
    ['socks5h://LOCALHOST:1080', 'localhost'],
    ['socks4://0x7f.1', '127.0.0.1'],
    // schemes that are not ours keep their host, but for what cannot stand in a URL
    ['http+unix://%2Ftmp%2Fx.sock/a', '%2Ftmp%2Fx.sock'],
    ['ftp://HOST', 'HOST'],
    ['foo://ü', '%C3%BC'],
    ['foo://[0:0::1]', '[::1]'],
  ])('%j', (url, host) => {
    expect(parseUrl(url).host).toBe(host);
  });
});

describe('parseUrl() rejects with LocationParseError', () => {
  test.each([
    ['a port that is too high', 'http://h:65536'],
    ['a port of many digits', 'http://h:99999999999999999999'],
    ['a port with a sign', 'http://h:-1'],
    ['a port that is not a number', 'http://h:port'],
    ['two ports', 'http://a:b:1'],
    ['an IPv6 address without brackets', '::1'],
    ['brackets that are not closed', 'http://[::1'],
    ['brackets without an address', 'http://[]'],
    ['text after the brackets', 'http://[::1].x'],
    ['a second closing bracket', 'http://[::1]]'],
    ['a bracket in a name', 'http://a[b'],
    ['an IP address of the future', 'http://[v1.x]'],
    ['an IPv6 address with too many groups', 'http://[1:2:3:4:5:6:7:8:9]'],
    ['an IPv6 address with two gaps', 'http://[1::2::3]'],
    ['an empty zone', 'http://[fe80::1%]'],
    ['a zone with a slash', 'http://[fe80::1%25en0%2f]'],
    ['an endless zone', `http://[fe80::1%25${'a'.repeat(253)}]`],
    ['an octet over 255', 'http://256.1.1.1'],
    ['a name that ends in a number', 'http://example.1'],
    ['an IPv4 address of five numbers', 'http://1.2.3.4.5'],
    ['an IPv4 number over 32 bits', 'http://4294967296'],
    ['an octal digit over 7', 'http://08.1.1.1'],
    ['an empty label at the end', 'http://h..'],
    ['an empty label in the middle', 'http://a..b'],
    ['an empty label in front', 'http://.h'],
    ['a dot for a host', './x'],
    ['two dots for a host', '../x'],
    ['a label of 64 octets', `http://${'a'.repeat(64)}.de`],
    ['a label of 64 octets once it is ASCII', `http://${'ü'.repeat(58)}.de`],
    ['a name of 254 octets', `http://${LONGEST_NAME}a`],
    ['a name of very many characters', `http://${'a.'.repeat(5000)}`],
    ['a quote in the host', 'http://a"b'],
    ['a stray percent sign in the host', 'http://a%zz'],
    ['an encoded percent sign in the host', 'http://a%2541'],
    ['a percent-encoded international name', 'http://b%C3%BCcher.de'],
    ['a punctuation mark in an international label', 'http://ü&x.de'],
    ['a label that begins with a combining mark', 'http://\u0301a.de'],
    ['a joiner out of its context', 'http://ü\u200dx.de'],
    ['a soft hyphen', 'http://ü\u00adx.de'],
    ['a lone surrogate in the host', 'http://\ud800.de'],
    ['an A-label that decodes to nothing', 'http://xn--a.de'],
    ['a stray percent sign in the host of a scheme that is not ours', 'foo://a%zz'],
    ['a bracket in the host of a scheme that is not ours', 'foo://a]b'],
    ['a blank in the host of a scheme that is not ours', 'foo://a b'],
    ['a blank in the user-info', 'http://u p@h'],
  ])('%s', (_what, url) => {
    expect(() => parseUrl(url)).toThrow(LocationParseError);
  });

  test('and says what is wrong, with the location as it was given', () => {
    const parse = () => parseUrl('http://user:secret@host:port/');
    expect(parse).toThrow(
      /^Failed to parse: "http:\/\/\*\*\*@host:port\/": the port must be a number from 0 to 65535$/,
    );
    expect(parse).toThrow(expect.objectContaining({ location: 'http://user:secret@host:port/' }));
  });

  test('each time anew, because errors are not remembered', () => {
    expect(caught(() => parseUrl('http://a b'))).not.toBe(caught(() => parseUrl('http://a b')));
  });
});

test.each([undefined, null, 1, {}, ['http://h'], new URL('http://h')])('parseUrl(%o) throws TypeError', (value) => {
  // @ts-expect-error: a caller without types
  expect(() => parseUrl(value)).toThrow(/^Cannot parse .* as a URL: it must be a string$/);
  // @ts-expect-error: a caller without types
  expect(() => parseUrl(value)).toThrow(TypeError);
});

test('parseUrl() encodes a lone surrogate as U+FFFD', () => {
  expect(parseUrl('http://h/\ud800?\udc00x#a\ud800').url).toBe('http://h/%EF%BF%BD?%EF%BF%BDx#a%EF%BF%BD');
});

test('parseUrl() encodes blanks and controls after the authority for schemes that are not ours, too', () => {
  expect(parseUrl('x://h/a b\0?\r\n#\t').url).toBe('x://h/a%20b%00?%0D%0A#%09');
});

describe('parseUrl() remembers', () => {
  test('what it parsed: the same text gives the same frozen object', () => {
    const url = 'http://cache.test/same';
    expect(parseUrl(url)).toBe(parseUrl(url));
    expect(Object.isFrozen(parseUrl(url))).toBe(true);
  });

  test('no text over 2048 characters', () => {
    const longest = `http://cache.test/${'a'.repeat(2048 - 'http://cache.test/'.length)}`;
    expect(parseUrl(longest)).toBe(parseUrl(longest));
    expect(parseUrl(`${longest}a`)).not.toBe(parseUrl(`${longest}a`));
  });

  test('at most 512 texts', () => {
    const first = parseUrl('http://cache.test/first');
    for (let i = 0; i < 512; i++) parseUrl(`http://cache.test/${i}`);
    expect(parseUrl('http://cache.test/first')).not.toBe(first);
    expect(parseUrl('http://cache.test/first')).toEqual(first);
  });
});

describe('Url', () => {
  test('holds null for every part that is not given', () => {
    expect([...new Url()]).toEqual([null, null, null, null, null, null, null]);
    expect([...new Url('http', undefined, 'h')]).toEqual(['http', null, 'h', null, null, null, null]);
    expect(new Url().url).toBe('');
    expect(new Url().requestUri).toBe('/');
  });

  test('is taken apart in field order', () => {
    const [scheme, auth, host, port, path, query, fragment] = parseUrl('http://u:p@h:1/p?q#f');
    expect([scheme, auth, host, port, path, query, fragment]).toEqual(['http', 'u:p', 'h', 1, '/p', 'q', 'f']);
    expectTypeOf(parseUrl('/').host).toEqualTypeOf<string | null>();
    expectTypeOf(parseUrl('/').port).toEqualTypeOf<number | null>();
  });

  test('cannot be changed', () => {
    const url = new Url('http', null, 'h');
    expect(() => Object.assign(url, { host: 'evil' })).toThrow(TypeError);
    expect(url.origin).toBe('http://h:80'); // what is computed later still is
    expect(url.origin).toBe('http://h:80');
  });

  test('puts the scheme in lower case and a slash before the path', () => {
    expect(new Url('HTTP', null, 'h', null, 'a').url).toBe('http://h/a');
    expect(new Url('http', null, 'h', null, '').path).toBe('');
  });

  test('is its text', () => {
    const url = new Url('http', 'username:password', 'host.com', 80, '/path', 'query', 'fragment');
    expect(url.url).toBe('http://username:password@host.com:80/path?query#fragment');
    expect(`${url}`).toBe(url.url);
  });

  test.each([
    ['http://u:p@h:8080/p?q#f', 'h:8080', 'u:p@h:8080', '/p?q', 'http://h:8080'],
    ['http://H', 'h', 'h', '/', 'http://h:80'],
    ['https://h?q', 'h', 'h', '/?q', 'https://h:443'],
    ['https://h:80/?', 'h:80', 'h:80', '/?', 'https://h:80'],
    ['http://h:0/', 'h:0', 'h:0', '/', 'http://h:0'],
    ['http://[::1]:1/#f', '[::1]:1', '[::1]:1', '/', 'http://[::1]:1'],
    ['FTP://Host/', 'Host', 'Host', '/', 'ftp://host'],
    ['ftp://Host:21/', 'Host:21', 'Host:21', '/', 'ftp://host:21'],
    ['//h:80', 'h:80', 'h:80', '/', null],
    ['/p', null, null, '/p', null],
    ['http:///p', null, null, '/p', null],
    ['http://:80/p', ':80', ':80', '/p', null],
  ])('of %j has netloc, authority, requestUri and origin', (text, netloc, authority, requestUri, origin) => {
    const url = parseUrl(text);
    expect([url.netloc, url.authority, url.requestUri, url.origin]).toEqual([netloc, authority, requestUri, origin]);
    expect(url.hostname).toBe(url.host);
  });

  test('folds only ASCII in scheme and origin', () => {
    expect(new Url('\u212a', null, 'K\u212a').origin).toBe('\u212a://k\u212a');
  });

  test('keeps a path that begins with two slashes from being read as a host', () => {
    const url = parseUrl('////evil/x');
    expect([url.host, url.path, url.url]).toEqual([null, '//evil/x', '////evil/x']);
    expect([...parseUrl(url.url)]).toEqual([...url]);
  });

  test('hides the user-info when it is printed', () => {
    expect(inspect(parseUrl('http://user:secret@h/'))).toMatch(
      /^Url \{\s+scheme: 'http',\s+auth: '\*\*\*',\s+host: 'h'/,
    );
    expect(inspect(parseUrl('http://h/'))).toMatch(/auth: null/);
  });

  test.each([
    ['a scheme that is no text', () => new Url(bad(1)), TypeError, 'scheme 1: it must be a string or null'],
    ['a host that is no text', () => new Url('http', null, bad({})), TypeError, 'host an object (Object)'],
    ['a port that is text', () => new Url('http', null, 'h', bad('80')), TypeError, 'port "80": it must be an integer'],
    ['a port out of range', () => new Url('http', null, 'h', 65_536), RangeError, 'port 65536'],
    ['a port below zero', () => new Url('http', null, 'h', -1), RangeError, 'port -1'],
    ['a port that is no integer', () => new Url('http', null, 'h', 1.5), RangeError, 'port 1.5'],
  ])('refuses %s', (_what, make, errorClass, message) => {
    expect(make).toThrow(errorClass);
    expect(make).toThrow(`Cannot make a Url with ${message}`);
  });
});

test.each([
  ['http://google.com/mail/', ['http', 'google.com', null]],
  ['google.com:80', ['http', 'google.com', 80]],
  ['https://[::1]:8443', ['https', '[::1]', 8443]],
  ['/foo', ['http', null, null]],
])('getHost(%j) gives scheme, host and port', (url, want) => {
  expect(getHost(url)).toEqual(want);
});

test.each([
  ['foo/bar?baz', '?/=', ['foo', 'bar?baz', '/']],
  ['foo/bar?baz', '123', ['foo/bar?baz', '', null]],
  ['foo/bar?baz', ['?', '/'], ['foo', 'bar?baz', '/']],
  ['/x', '/', ['', 'x', '/']],
  ['x/', '/', ['x', '', '/']],
  ['a::b', ['::', ':'], ['a', 'b', '::']],
  ['', '/', ['', '', null]],
  ['x', '', ['x', '', null]],
])('splitFirst(%j, %j) cuts at the first delimiter', (text, delimiters, want) => {
  expect(splitFirst(text, delimiters)).toEqual(want);
});

describe('joinUrl() resolves the examples of RFC 3986 section 5.4', () => {
  const base = parseUrl('http://a/b/c/d;p?q');
  test.each([
    // 5.4.1, normal; `g:h` is written as the reference's Url writes a path without a host
    ['g:h', 'g:///h'],
    ['g', 'http://a/b/c/g'],
    ['./g', 'http://a/b/c/g'],
    ['g/', 'http://a/b/c/g/'],
    ['/g', 'http://a/g'],
    ['//g', 'http://g'],
    ['?y', 'http://a/b/c/d;p?y'],
    ['g?y', 'http://a/b/c/g?y'],
    ['#s', 'http://a/b/c/d;p?q#s'],
    ['g#s', 'http://a/b/c/g#s'],
    ['g?y#s', 'http://a/b/c/g?y#s'],
    [';x', 'http://a/b/c/;x'],
    ['g;x', 'http://a/b/c/g;x'],
    ['g;x?y#s', 'http://a/b/c/g;x?y#s'],
    ['', 'http://a/b/c/d;p?q'],
    ['.', 'http://a/b/c/'],
    ['./', 'http://a/b/c/'],
    ['..', 'http://a/b/'],
    ['../', 'http://a/b/'],
    ['../g', 'http://a/b/g'],
    ['../..', 'http://a/'],
    ['../../', 'http://a/'],
    ['../../g', 'http://a/g'],
    // 5.4.2, abnormal
    ['../../../g', 'http://a/g'],
    ['../../../../g', 'http://a/g'],
    ['/./g', 'http://a/g'],
    ['/../g', 'http://a/g'],
    ['g.', 'http://a/b/c/g.'],
    ['.g', 'http://a/b/c/.g'],
    ['g..', 'http://a/b/c/g..'],
    ['..g', 'http://a/b/c/..g'],
    ['./../g', 'http://a/b/g'],
    ['./g/.', 'http://a/b/c/g/'],
    ['g/./h', 'http://a/b/c/g/h'],
    ['g/../h', 'http://a/b/c/h'],
    ['g;x=1/./y', 'http://a/b/c/g;x=1/y'],
    ['g;x=1/../y', 'http://a/b/c/y'],
    ['g?y/./x', 'http://a/b/c/g?y/./x'],
    ['g?y/../x', 'http://a/b/c/g?y/../x'],
    ['g#s/./x', 'http://a/b/c/g#s/./x'],
    ['g#s/../x', 'http://a/b/c/g#s/../x'],
  ])('%j', (reference, want) => {
    expect(joinUrl(base, reference).url).toBe(want);
  });

  test('but takes "http:g" for no URL: the strict reading has no host', () => {
    expect(() => joinUrl(base, 'http:g')).toThrow('a URL of scheme http must name a host');
  });
});

describe('joinUrl()', () => {
  test.each([
    // base, reference, result
    ['http://h', 'x', 'http://h/x'],
    ['http://h?q', 'x', 'http://h/x'],
    ['http://h', '', 'http://h'],
    ['http://h#f', '', 'http://h'],
    ['http://h?q', '#f', 'http://h?q#f'],
    ['http://h/a?q', '?', 'http://h/a?'],
    ['http://h', '?y', 'http://h?y'],
    ['http://h/a/', '..//x', 'http://h//x'],
    ['http://h/a', '/..//x', 'http://h//x'],
    ['http://h:81/a', 'HTTPS://G:80', 'https://g:80'],
    ['https://h:81/a', '//g/../x', 'https://g/x'],
    ['http://h/a', 'http://h/b/../c', 'http://h/c'],
    ['http://h/a%20b/c', 'd%zz', 'http://h/a%20b/d%25zz'],
    ['http://h/a', '/b c?d e#f g', 'http://h/b%20c?d%20e#f%20g'],
    ['http://h/a', '/time/12:30', 'http://h/time/12:30'],
    ['http://h/a', 'x_1:2', 'http://h/x_1:2'],
    ['http://h/a', 'a.b:1', 'a.b:///1'],
    ['http://h/a', 'ftp://G/../x', 'ftp://G/../x'],
    ['http://u:p@h:1/a', 'b', 'http://u:p@h:1/b'],
    ['/a/b', '../c', '/c'],
    ['/a/b', '//h/c', 'h/c'],
    ['', 'a', '/a'],
  ])('of %j and %j is %j', (base, reference, want) => {
    expect(joinUrl(parseUrl(base), reference).url).toBe(want);
  });

  test.each([
    // as it comes off the wire: one character per byte
    ['UTF-8', latin1('/ü?ß#💩'), '/%C3%BC?%C3%9F#%F0%9F%92%A9'],
    ['latin1', '/\xfc?\xdf#\xe9', '/%FC?%DF#%E9'],
    ['latin1 and UTF-8 mixed, byte by byte', `/\xfc${latin1('ü')}`, '/%FC%C3%BC'],
    ['latin1 and a stray percent sign', '/%zz\xfc', '/%25zz%FC'],
    ['text that is not bytes', '/ü☃', '/%C3%BC%E2%98%83'],
  ])('reads bytes beyond ASCII: %s', (_what, reference, want) => {
    expect(joinUrl(parseUrl('http://h'), reference).url).toBe(`http://h${want}`);
  });

  test('reads an international host from bytes that are UTF-8, and rejects it from others', () => {
    const base = parseUrl('http://h');
    expect(joinUrl(base, latin1('//bücher.de/')).host).toBe('xn--bcher-kva.de');
    expect(() => joinUrl(base, '//b\xfccher.de/')).toThrow(LocationParseError);
    expect(joinUrl(base, 'foo://b\xfccher/').host).toBe('b%FCcher');
  });

  test.each(['\thttp://g', ' ', 'ht\ntp://g', 'http ://g', '\0', 'x y:z'])(
    'rejects a blank before a colon or in front: %j',
    (reference) => {
      expect(() => joinUrl(parseUrl('http://h'), reference)).toThrow(LocationParseError);
    },
  );

  test('throws TypeError for arguments of the wrong type', () => {
    expect(() => joinUrl(bad('http://h'), '/')).toThrow(TypeError);
    expect(() => joinUrl(bad('http://h'), '/')).toThrow('Cannot resolve against "http://h": it must be a Url');
    expect(() => joinUrl(parseUrl('http://h'), bad(null))).toThrow(TypeError);
  });
});

test.each([
  ['http://h', 'http://h/', true],
  ['http://h/a?b', 'HTTP://u:p@H:80/c#d', true],
  ['https://h:443', 'https://h', true],
  ['http://bücher.de', 'http://xn--bcher-kva.de', true],
  ['http://[::1]', 'http://[0:0::1]:80', true],
  ['http://127.0.0.1', 'http://0x7f.1', true],
  ['http://h', 'https://h', false],
  ['http://h', 'https://h:80', false],
  ['http://h', 'http://h:8080', false],
  ['http://h:0', 'http://h', false],
  ['http://h', 'http://g', false],
  ['http://h', 'http://h.', false],
  ['http://h', '//h', false],
  ['/a', '/a', false],
  ['http:///a', 'http:///a', false],
])('isSameOrigin() of %j and %j is %j', (a, b, want) => {
  expect(isSameOrigin(parseUrl(a), parseUrl(b))).toBe(want);
  expect(isSameOrigin(parseUrl(b), parseUrl(a))).toBe(want);
});

/** The bytes of UTF-8, one character per byte, as a field value comes off the wire. */
function latin1(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** What a caller without types may pass. */
function bad(value: unknown): never {
  return value as never; // proves nothing: that is the point
}

function caught(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}
