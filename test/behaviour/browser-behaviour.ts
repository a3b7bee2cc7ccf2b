/**
 * What a `FetchManager` does where scripts are kept from much: in a browser. Beside the cases that all managers share
 * (manager-behaviour.ts), these hold what docs/edge-runtimes.md says of browsers.
 */
import { FetchPlatformError } from '../../src/contrib/fetch.js';
import { HTTPError, ProtocolError } from '../../src/exceptions.js';
import { Retry } from '../../src/util/retry.js';
import type { Behaviour } from './manager-behaviour.js';

async function raised(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'it resolved',
    (error: unknown) => error,
  );
}

/** What is written to the console as a warning meanwhile. */
async function warnings(during: () => Promise<unknown>): Promise<string[]> {
  const { warn } = console;
  const written: string[] = [];
  console.warn = (...args: unknown[]) => written.push(args.join(' '));
  try {
    await during();
  } finally {
    console.warn = warn;
  }
  return written;
}

export const BROWSER_BEHAVIOURS: readonly Behaviour[] = [
  {
    name: 'request() lets the browser follow redirects, and gives the URL that answered',
    async run({ http, url, equal }) {
      const response = await http.request('GET', `${url}/redirect/302?to=../redirect/301%3Fto%3D../text%3Fhex%3D61`);
      equal([response.status, response.url, response.data.toString()], [200, `${url}/text?hex=61`, 'a']);
      equal(response.retries?.history.length, 0);
    },
  },
  {
    name: 'request() warns that a number of redirects is not heeded',
    async run({ make, url, equal }) {
      const http = make({ retries: new Retry({ redirect: 5 }) });
      const written = await warnings(async () => {
        await http.request('GET', `${url}/redirect/302?to=../echo`);
        await http.request('GET', `${url}/redirect/302?to=../echo`);
      });
      equal(written, [
        'FetchPlatformWarning: fetch follows redirects itself, up to 20: the number of redirects in retries is not heeded',
      ]);
    },
  },
  {
    name: 'SEC-056 (CVE-2025-50181): request() raises FetchPlatformError for a redirect that it is not to follow, and asks once',
    async run(world) {
      const { http, url, equal } = world;
      for (const options of [
        { redirect: false },
        { retries: false },
        { retries: new Retry({ redirect: 0 }) },
      ] as const) {
        const error = await raised(http.request('GET', `${url}/redirect/302?to=../echo`, options));
        equal([error instanceof FetchPlatformError, error instanceof HTTPError && error.phase], [true, 'content']);
      }
      equal(
        (await world.log()).map(({ target }) => target.slice(0, 9)),
        ['/redirect', '/redirect', '/redirect'],
      );
    },
  },
  {
    name: 'SEC-048, SEC-054 (CVE-2018-20060, CVE-2026-40895): request() has no redirect followed that would carry secrets to another origin',
    async run(world) {
      const { http, make, url, other, equal } = world;
      const to = `${url}/redirect/302?to=${other}/echo`;
      for (const headers of [{ Authorization: 'Bearer secret' }, { 'X-Api-Key': 'secret' }]) {
        equal((await raised(http.request('GET', to, { headers }))) instanceof FetchPlatformError, true);
      }
      const safe = make({ crossOriginHeaders: 'safelist' });
      equal((await raised(safe.request('GET', to, { headers: { 'X-Own': '1' } }))) instanceof FetchPlatformError, true);
      equal(
        (await world.log()).every(({ target }) => target.startsWith('/redirect')),
        true,
      );
      // Whoever says that no field is secret has them followed.
      const open = new Retry({ removeHeadersOnRedirect: [] });
      const response = await http.request('GET', `${url}/redirect/302?to=../echo`, {
        headers: { 'X-Api-Key': 'a' },
        retries: open,
      });
      equal(response.status, 200);
    },
  },
  {
    name: 'request() warns once of each field that the browser keeps from scripts, and sends the others',
    async run(world) {
      const { http, url, equal } = world;
      const common = { Cookie: 'a=b', Host: 'other', Connection: 'close' };
      const headers = { ...common, 'Accept-Encoding': 'br', 'User-Agent': 'mine', 'X-Own': '1' };
      const written = await warnings(async () => {
        await http.request('GET', `${url}/echo`, { headers });
        await http.request('GET', `${url}/echo`, { headers });
      });
      equal(written.map((text) => text.replace(/.*The header "([^"]*)".*: (.*)/, '$1: $2')).sort(), [
        'accept-encoding: this runtime keeps it from scripts',
        'connection: fetch decides over it itself',
        'cookie: this runtime keeps it from scripts',
        'host: fetch decides over it itself',
        'user-agent: this runtime keeps it from scripts',
      ]);
      const fields = (await world.log()).at(-1)?.fields;
      equal([fields?.cookie, fields?.['user-agent'] === 'mine', fields?.['x-own']], [undefined, false, '1']);
    },
  },
  {
    name: 'request() raises ProtocolError for what the browser does not explain: nobody listens, no permission to read',
    async run({ http, refused, equal }) {
      const error = await raised(http.request('GET', `${refused}/`, { retries: false }));
      equal([error instanceof ProtocolError, error instanceof HTTPError && error.code], [true, undefined]);
    },
  },
  {
    name: 'request() raises for a stream as the body, where the browser cannot send it',
    async run({ http, url, equal }) {
      const body = (async function* () {
        yield 'a';
      })();
      const error = await raised(http.request('POST', `${url}/echo`, { body, retries: false }));
      equal(error instanceof ProtocolError, true);
    },
  },
  {
    name: 'request() raises ProtocolError for content that cannot be decoded',
    async run({ http, url, equal }) {
      const error = await raised(http.request('GET', `${url}/garbage`, { retries: false }));
      equal(error instanceof ProtocolError, true);
    },
  },
];
