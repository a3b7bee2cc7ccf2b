/**
 * What every manager does, whatever it makes its requests with: one list of cases for `PoolManager`, for `FetchManager` over Node's
 * fetch, and for `FetchManager` in a browser.
 *
 * A case knows neither the test runner nor Node: it is given a world (a manager, addresses, two checks), so that it can be bundled
 * into a page. What a fetch may not be able to do is an ability that a case asks for; who lacks it names the reason.
 */
import {
  DeadlineExceededError,
  DecodeError,
  HTTPError,
  IncompleteRead,
  InvalidHeader,
  LocationValueError,
  MaxRetryError,
  NewConnectionError,
  ProtocolError,
  ReadTimeoutError,
  ResponseError,
  ResponseNotReadError,
  TimeoutError,
  UnrewindableBodyError,
  URLSchemeUnknown,
} from '../../src/exceptions.js';
import type { RequestMethods } from '../../src/request.js';
import { type Retries, Retry } from '../../src/util/retry.js';
import { RetryBudget } from '../../src/util/retry-budget.js';
import { Timeout } from '../../src/util/timeout.js';
import type { SeenRequest } from './scenario-server.js';

/** What not every `fetch` can do. */
export type Ability =
  /** Redirects are seen and followed by the manager. */
  | 'redirects'
  /** Fields such as Cookie and User-Agent may be set, and Set-Cookie be read. */
  | 'all-fields'
  /** Errors have a cause that tells what happened. */
  | 'causes'
  /** A body may be a stream. */
  | 'streams'
  /** A request is made once, whatever becomes of its connection. */
  | 'one-attempt';

/** Options that all managers have. */
export interface CommonOptions {
  readonly headers?: Record<string, string>;
  readonly retries?: Retries;
  readonly timeout?: number | Timeout;
  readonly deadline?: number;
  readonly crossOriginHeaders?: 'strip' | 'safelist';
  readonly retryBudget?: RetryBudget;
  readonly maxDecodedSize?: number;
}

export interface Places {
  /** Of the scenarios, with the run. */
  readonly url: string;
  /** The same under another origin. */
  readonly other: string;
  readonly refused: string;
  readonly httpbin: string;
}

export interface World extends Places {
  readonly http: RequestMethods;
  make(options?: CommonOptions): RequestMethods;
  /** What the scenario server saw of this run. */
  log(): Promise<readonly SeenRequest[]>;
  /** Fails unless both are the same data. */
  equal(actual: unknown, wanted: unknown): void;
}

export interface Behaviour {
  readonly name: string;
  readonly needs?: readonly Ability[];
  run(world: World): Promise<void>;
}

/** What a promise rejects with. */
async function raised(promise: Promise<unknown>): Promise<unknown> {
  const outcome = await promise.then(
    () => null,
    (error: unknown) => ({ error }),
  );
  if (outcome === null) throw new Error('it was to reject, and resolved');
  return outcome.error;
}

/** The names of the classes of an error and of its causes. */
function chain(error: unknown): string[] {
  const names: string[] = [];
  for (let cause = error; cause instanceof HTTPError; cause = cause.cause) names.push(cause.name);
  return names;
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const encoded = (value: string): Uint8Array => new TextEncoder().encode(value);

/** As what is read in one piece or many, but for where it was cut. */
async function collected(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  let all = '';
  for await (const piece of pieces) all += text(piece);
  return all;
}

async function seen({ log }: World): Promise<string[]> {
  return (await log()).map(({ method, target }) => `${method} ${target}`);
}

async function lastSeen({ log }: World): Promise<SeenRequest> {
  const last = (await log()).at(-1);
  if (last === undefined) throw new Error('the server was asked nothing');
  return last;
}

const REQUESTS: readonly Behaviour[] = [
  {
    name: 'request() gives status, fields, data and the URL that answered',
    async run({ http, url, equal }) {
      const response = await http.request('GET', `${url}/text?hex=616263`);
      equal([response.status, response.headers.get('content-type'), text(response.data)], [200, 'text/plain', 'abc']);
      equal([response.url, response.getUrl()], [`${url}/text?hex=616263`, `${url}/text?hex=616263`]);
      equal([response.closed, response.tell(), response.requestMethod], [true, 3, 'GET']);
    },
  },
  {
    name: 'request() gives responses with error statuses as they are',
    async run({ http, url, equal }) {
      for (const status of [201, 204, 304, 404, 500, 599]) {
        const response = await http.request('GET', `${url}/status/${status}`);
        equal(
          [response.status, text(response.data)],
          [status, status === 204 || status === 304 ? '' : `status ${status}`],
        );
      }
    },
  },
  {
    name: 'request() asks an httpbin, and parses its JSON',
    async run({ http, httpbin, equal }) {
      const response = await http.request('GET', `${httpbin}/get`, { fields: { a: '1', b: ['x y', 'ü'] } });
      const { args, url } = await response.json<{ args: unknown; url: string }>();
      equal([args, url], [{ a: '1', b: ['x y', 'ü'] }, `${httpbin}/get?a=1&b=x+y&b=%C3%BC`]);
    },
  },
  {
    name: 'request() of HEAD has no data',
    async run({ http, url, equal }) {
      const response = await http.request('HEAD', `${url}/bytes/100`);
      equal([response.status, response.data.length, response.headers.get('content-length')], [200, 0, '100']);
    },
  },
  {
    name: 'request() takes any method in any case',
    async run(world) {
      for (const method of ['put', 'PATCH', 'Delete']) await world.http.request(method, `${world.url}/echo`);
      world.equal(await seen(world), ['PUT /echo', 'PATCH /echo', 'DELETE /echo']);
    },
  },
  {
    name: 'request() sends the fields that it is given, or else those of the manager',
    async run(world) {
      const http = world.make({ headers: { 'X-Of': 'manager' } });
      await http.request('GET', `${world.url}/echo`);
      world.equal((await lastSeen(world)).fields['x-of'], 'manager');
      await http.request('GET', `${world.url}/echo`, { headers: { 'X-Other': 'request', 'X-Two': ['a', 'b'] } });
      const { fields } = await lastSeen(world);
      world.equal([fields['x-of'], fields['x-other'], fields['x-two']], [undefined, 'request', 'a, b']);
    },
  },
  {
    name: 'request() names itself, and asks for content as it is, unless told otherwise',
    needs: ['all-fields'],
    async run(world) {
      await world.http.request('GET', `${world.url}/echo`);
      const { fields } = await lastSeen(world);
      world.equal(
        [fields['accept-encoding'], /^urllib3-node\/\d/.test(fields['user-agent'] ?? '')],
        ['identity', true],
      );
      const headers = { 'User-Agent': 'mine', 'Accept-Encoding': 'gzip', Cookie: 'a=b' };
      await world.http.request('GET', `${world.url}/echo`, { headers });
      const given = (await lastSeen(world)).fields;
      world.equal([given['user-agent'], given['accept-encoding'], given.cookie], ['mine', 'gzip', 'a=b']);
    },
  },
  {
    name: 'request() tells lines of one name apart where they must not be joined',
    needs: ['all-fields'],
    async run({ http, url, equal }) {
      const { headers } = await http.request('GET', `${url}/head`);
      equal([headers.get('x-twice'), headers.getSetCookie()], ['a, b', ['a=1; Path=/', 'b=2; Path=/']]);
    },
  },
  {
    name: 'request() raises LocationValueError for what cannot be a URL here',
    async run({ http, equal }) {
      const errors = [];
      for (const url of ['/path', 'http://', 'host/path', 'ftp://host/', 'http://a b/', 'http://exa mple.org/']) {
        const error = await raised(http.request('GET', url));
        errors.push([error instanceof LocationValueError, error instanceof URLSchemeUnknown]);
      }
      equal(errors, [
        [true, false],
        [true, false],
        [true, false],
        [true, true],
        [true, false],
        [true, false],
      ]);
    },
  },
  {
    name: 'request() raises TypeError for bad arguments, and InvalidHeader for bad fields, before it asks',
    async run(world) {
      const { http, url, equal } = world;
      const nonsense: Record<string, unknown>[] = [
        { timeout: 'soon' },
        { preloadContent: 1 },
        { signal: {} },
        { nonsense: true },
        { body: 7 },
        { body: 'a', fields: { b: '1' } },
      ];
      for (const options of nonsense)
        equal((await raised(http.request('POST', url, options))) instanceof TypeError, true);
      equal((await raised(http.request('GE T', url))) instanceof TypeError, true);
      for (const headers of [{ 'Bad Name': '1' }, { A: 'a\r\nB: c' }, { 'Content-Length': '7' }]) {
        equal((await raised(http.request('POST', url, { headers, body: 'abc' }))) instanceof InvalidHeader, true);
      }
      equal(await seen(world), []);
    },
  },
];

const BODIES: readonly Behaviour[] = [
  {
    name: 'request() sends text, bytes and URLSearchParams with their length',
    async run(world) {
      const { http, url, equal } = world;
      const bodies = ['grüße', encoded('bytes'), encoded('buffer').buffer, new URLSearchParams({ a: 'b c' })];
      for (const body of bodies) await http.request('POST', `${url}/echo`, { body });
      const got = (await world.log()).map(({ body, fields }) => [body, fields['content-length']]);
      equal(got, [
        ['gr\u00c3\u00bc\u00c3\u009fe', '7'],
        ['bytes', '5'],
        ['buffer', '6'],
        ['a=b+c', '5'],
      ]);
      equal((await lastSeen(world)).fields['content-type'], 'application/x-www-form-urlencoded;charset=UTF-8');
    },
  },
  {
    name: 'request() sends JSON with its type',
    async run(world) {
      await world.http.request('POST', `${world.url}/echo`, { json: { a: [1, null] } });
      const { body, fields } = await lastSeen(world);
      world.equal([body, fields['content-type']], ['{"a":[1,null]}', 'application/json']);
    },
  },
  {
    name: 'request() sends fields as a form: urlencoded, or in parts',
    async run(world) {
      const { http, httpbin, url, equal } = world;
      await http.request('POST', `${url}/echo`, { fields: { a: '1' }, encodeMultipart: false });
      equal([(await lastSeen(world)).body], ['a=1']);
      const fields = { a: '1', file: ['a.txt', 'text', 'text/plain'] as const };
      const { form, files } = await (await http.request('POST', `${httpbin}/post`, { fields })).json<
        Record<string, unknown>
      >();
      equal([form, files], [{ a: '1' }, { file: 'text' }]);
    },
  },
  {
    name: 'request() sends Blobs, and forms with Blobs in them, with their length',
    async run(world) {
      const { http, httpbin, url, equal } = world;
      await http.request('PUT', `${url}/echo`, { body: new Blob(['of a ', 'blob'], { type: 'text/x-blob' }) });
      const { body, fields } = await lastSeen(world);
      equal([body, fields['content-type'], fields['content-length']], ['of a blob', 'text/x-blob', '9']);
      const form = { a: '1', b: ['b.txt', new Blob(['x'.repeat(100_000)])] as const };
      const response = await http.request('POST', `${httpbin}/post`, { fields: form });
      const { files, headers } = await response.json<{ files: { b: string }; headers: Record<string, string> }>();
      equal([files.b.length, Number(headers['Content-Length']) > 100_000], [100_000, true]);
    },
  },
  {
    name: 'request() sends streams, in pieces and in order',
    needs: ['streams'],
    async run(world) {
      const pieces = async function* () {
        for (let index = 0; index < 5; index++) yield `piece ${index};`;
      };
      await world.http.request('POST', `${world.url}/echo`, { body: pieces() });
      const { body, fields } = await lastSeen(world);
      const chunked = fields['transfer-encoding'];
      world.equal([body, chunked], ['piece 0;piece 1;piece 2;piece 3;piece 4;', 'chunked']);
    },
  },
  {
    name: 'request() raises HTTPError for a body that fails, with what it failed of, and does not repeat it',
    needs: ['streams'],
    async run({ http, url, equal }) {
      const mine = new RangeError('mine');
      let begun = 0;
      const body = () => {
        begun++;
        return (async function* () {
          yield 'a';
          throw mine;
        })();
      };
      const error = await raised(http.request('PUT', `${url}/echo`, { body }));
      equal([chain(error), error instanceof HTTPError && error.cause === mine, begun], [['HTTPError'], true, 1]);
    },
  },
  {
    name: 'request() sends again what can be sent again, and raises UnrewindableBodyError for what cannot',
    needs: ['streams'],
    async run(world) {
      const { http, url, equal } = world;
      const retries = new Retry({ statusForcelist: [503] });
      const response = await http.request('PUT', `${url}/flaky/1/503`, {
        body: () =>
          (async function* () {
            yield 'again';
          })(),
        retries,
      });
      equal([text(response.data), (await world.log()).map(({ body }) => body)], ['done', ['again', 'again']]);
      const body = (async function* () {
        yield 'once';
      })();
      const error = await raised(http.request('PUT', `${url}/flaky/2/503`, { body, retries }));
      equal([chain(error), (await world.log()).length], [['UnrewindableBodyError'], 3]);
      equal(error instanceof UnrewindableBodyError, true);
    },
  },
];

const CONTENT: readonly Behaviour[] = [
  {
    name: 'response.read(), stream() and readInto() give the content in the sizes asked for',
    async run({ http, url, equal }) {
      const open = () => http.request('GET', `${url}/text?hex=${'6162636465'}`, { preloadContent: false });
      const first = await open();
      equal(
        [text(await first.read(2)), text(await first.read(2)), text(await first.read()), text(await first.read())],
        ['ab', 'cd', 'e', ''],
      );
      equal(await collected((await open()).stream(2)), 'abcde');
      equal(await collected(await open()), 'abcde');
      const target = new Uint8Array(3);
      equal([await (await open()).readInto(target), text(target)], [3, 'abc']);
    },
  },
  {
    name: 'response.body and response.text() give the content as streams and text',
    async run({ http, url, equal }) {
      const response = await http.request('GET', `${url}/bytes/200000`, { preloadContent: false });
      let length = 0;
      const reader = response.body.getReader();
      for (let step = await reader.read(); !step.done; step = await reader.read()) length += step.value.length;
      equal([length, response.closed], [200_000, true]);
      const latin1 = await http.request('GET', `${url}/text?hex=fc&type=text/plain;charset=iso-8859-1`);
      equal(await latin1.text(), 'ü');
    },
  },
  {
    name: 'response.data raises ResponseNotReadError before the content was read',
    async run({ http, url, equal }) {
      const response = await http.request('GET', `${url}/bytes/3`, { preloadContent: false });
      equal((await raised((async () => response.data)())) instanceof ResponseNotReadError, true);
      await response.read();
      equal(text(response.data), 'xxx');
    },
  },
  {
    name: 'response.close() gives up what has not been read',
    async run({ http, url, equal }) {
      const response = await http.request('GET', `${url}/stalls`, { preloadContent: false });
      equal(text(await response.read(3)), 'abc');
      const reading = raised(response.read());
      response.close();
      equal([(await reading) instanceof HTTPError, response.closed], [true, true]);
    },
  },
  {
    name: 'response.drainConn() reads what nobody wants',
    async run({ http, url, equal }) {
      const response = await http.request('GET', `${url}/bytes/1000`, { preloadContent: false });
      await response.drainConn();
      equal([response.closed, (await response.read()).length], [true, 0]);
    },
  },
  {
    name: 'request() takes content codings off, once',
    async run({ http, url, equal }) {
      for (const coding of ['gzip', 'deflate', 'br']) {
        const response = await http.request('GET', `${url}/coded/${coding}`, { headers: { Accept: '*/*' } });
        equal([text(response.data), response.headers.get('content-encoding')], [`this was ${coding}`, coding]);
        const streamed = await http.request('GET', `${url}/coded/${coding}`, { preloadContent: false });
        equal(await collected(streamed.stream(4)), `this was ${coding}`);
      }
    },
  },
  {
    name: 'request() delivers content in a coding that it does not know as it came',
    async run({ http, url, equal }) {
      const response = await http.request('GET', `${url}/coded/x-unknown`);
      equal([text(response.data), response.headers.get('content-encoding')], ['as it is', 'x-unknown']);
    },
  },
  {
    name: 'request() raises DecodeError for what cannot be decoded, and does not ask again',
    needs: ['causes'],
    async run(world) {
      const error = await raised(world.http.request('GET', `${world.url}/garbage`));
      world.equal([error instanceof DecodeError, (await seen(world)).length], [true, 1]);
    },
  },
  {
    name: 'request() raises DecodeError for content beyond maxDecodedSize, announced or not',
    async run({ make, url, equal }) {
      const http = make({ maxDecodedSize: 10 });
      equal((await http.request('GET', `${url}/bytes/10`)).data.length, 10);
      equal(chain(await raised(http.request('GET', `${url}/bytes/11`))), ['DecodeError']);
      equal(chain(await raised(http.request('GET', `${url}/coded/gzip`))), ['DecodeError']);
      const drip = http.request('GET', `${url}/drips/20?pause=1`, { preloadContent: false });
      equal(chain(await raised((await drip).read())), ['DecodeError']);
      equal((await http.request('GET', `${url}/bytes/11`, { maxDecodedSize: null })).data.length, 11);
    },
  },
  {
    name: 'request() tells of the content that has come',
    async run({ http, url, equal }) {
      const told: unknown[] = [];
      await http.request('GET', `${url}/bytes/5`, { onDownloadProgress: (progress) => told.push(progress) });
      equal(told.at(-1), { transferred: 5, total: 5 });
    },
  },
];

const REDIRECTS: readonly Behaviour[] = [
  {
    name: 'request() follows redirects, and lists them',
    needs: ['redirects'],
    async run(world) {
      const { http, url, equal } = world;
      const response = await http.request('GET', `${url}/redirect/302?to=../redirect/301%3Fto%3D../echo`);
      equal([response.status, response.url], [200, `${url}/echo`]);
      const history = response.retries?.history.map(({ method, status, redirectLocation }) => [
        method,
        status,
        redirectLocation,
      ]);
      equal(history, [
        ['GET', 302, '../redirect/301?to=../echo'],
        ['GET', 301, '../echo'],
      ]);
    },
  },
  {
    name: 'request() makes a GET of a POST after 303 only, and sends the content again after the others',
    needs: ['redirects'],
    async run(world) {
      const { http, url, equal } = world;
      for (const status of [301, 302, 303, 307, 308]) {
        await http.request('POST', `${url}/redirect/${status}?to=../echo`, { json: { a: 1 } });
        const { method, body, fields } = await lastSeen(world);
        const wanted = status === 303 ? ['GET', '', undefined] : ['POST', '{"a":1}', 'application/json'];
        equal([status, method, body, fields['content-type']], [status, ...wanted]);
      }
    },
  },
  {
    name: 'SEC-048, SEC-049, SEC-050, SEC-052 (CVE-2018-20060, CVE-2023-43804, CVE-2024-37891, CVE-2018-25091): request() takes no credentials to another origin, in no spelling',
    needs: ['redirects', 'all-fields'],
    async run(world) {
      const { http, url, other, equal } = world;
      const headers: [string, string][] = [
        ['AUTHORIZATION', 'Bearer secret'],
        ['cookie', 'a=secret'],
        ['Proxy-Authorization', 'Basic secret'],
        ['X-Api-Key', 'secret'],
        ['X-Harmless', 'kept'],
      ];
      for (const status of [301, 302, 303, 307, 308]) {
        await http.request('GET', `${url}/redirect/${status}?to=${other}/echo`, { headers });
        const { fields, target } = await lastSeen(world);
        equal([target, JSON.stringify(fields).includes('secret'), fields['x-harmless']], ['/echo', false, 'kept']);
        await http.request('GET', `${url}/redirect/${status}?to=${url}/echo`, { headers });
        equal((await lastSeen(world)).fields.authorization, 'Bearer secret');
      }
    },
  },
  {
    name: 'SEC-053 (CVE-2024-45336): request() does not bring credentials back on a later hop',
    needs: ['redirects'],
    async run(world) {
      const { http, url, other, equal } = world;
      const back = `${other}/redirect/302?to=${encodeURIComponent(`${url}/echo`)}`;
      const headers = { Authorization: 'Bearer secret' };
      await http.request('GET', `${url}/redirect/302?to=${encodeURIComponent(back)}`, { headers });
      equal(
        (await world.log()).map(({ fields }) => fields.authorization ?? null),
        ['Bearer secret', null, null],
      );
    },
  },
  {
    name: 'SEC-054 (CVE-2026-40895): request() keeps secrets of any name from other origins, as it is told',
    needs: ['redirects'],
    async run(world) {
      const { http, make, url, other, equal } = world;
      const headers = { 'X-Mine': 'secret', 'X-More': 'also', Accept: 'text/plain' };
      const to = `${url}/redirect/302?to=${other}/echo`;
      const retries = new Retry(3, { removeHeadersOnRedirect: ['x-mine'] });
      await http.request('GET', to, { headers, retries });
      const some = (await lastSeen(world)).fields;
      equal([some['x-mine'], some['x-more'], some.accept], [undefined, 'also', 'text/plain']);
      await make({ crossOriginHeaders: 'safelist' }).request('GET', to, { headers });
      const safe = (await lastSeen(world)).fields;
      equal([safe['x-mine'], safe['x-more'], safe.accept], [undefined, undefined, 'text/plain']);
    },
  },
  {
    name: 'SEC-055 (CVE-2023-45803): request() drops content and what is said of it after 303, and sends no one-shot body twice',
    needs: ['redirects', 'streams'],
    async run(world) {
      const { http, url, equal } = world;
      const headers = { 'Content-Type': 'text/x-mine', 'Content-Language': 'de', 'X-Stays': '1' };
      await http.request('POST', `${url}/redirect/303?to=../echo`, { headers, body: 'secret' });
      const { method, body, fields } = await lastSeen(world);
      equal(
        [method, body, fields['content-type'], fields['content-language'], fields['x-stays']],
        ['GET', '', undefined, undefined, '1'],
      );
      const once = (async function* () {
        yield 'once';
      })();
      const error = await raised(http.request('POST', `${url}/redirect/307?to=../echo`, { body: once }));
      equal([chain(error), (await seen(world)).length], [['UnrewindableBodyError'], 3]);
    },
  },
  {
    name: 'SEC-056 (CVE-2025-50181): request() follows no more redirects than it is allowed, and none where they are off',
    needs: ['redirects'],
    async run(world) {
      const { http, make, url, equal } = world;
      for (const options of [
        { redirect: false },
        { retries: false },
        { retries: new Retry({ redirect: 0, raiseOnRedirect: false }) },
      ] as const) {
        const response = await http.request('GET', `${url}/redirect/302?to=../echo`, options);
        equal([response.status, response.headers.get('location'), text(response.data)], [302, '../echo', 'elsewhere']);
      }
      equal((await make({ retries: false }).request('GET', `${url}/redirect/302?to=../echo`)).status, 302);
      equal(
        (await seen(world)).filter((one) => one.includes('echo') && !one.includes('redirect')),
        [],
      );
      const before = (await seen(world)).length;
      const error = await raised(http.request('GET', `${url}/loop`, { retries: new Retry({ redirect: 2 }) }));
      equal(chain(error), ['MaxRetryError', 'ResponseError']);
      equal(error instanceof MaxRetryError && error.attempts.length, 3);
      equal((await seen(world)).length - before, 3);
      equal(chain(await raised(http.request('GET', `${url}/loop`, { retries: null }))), [
        'MaxRetryError',
        'ResponseError',
      ]);
    },
  },
  {
    name: 'SEC-057 (CVE-2009-0037), SEC-058: request() goes to http and https only, and not where two places are named',
    needs: ['redirects'],
    async run(world) {
      const { http, url, equal } = world;
      for (const to of ['file:///etc/passwd', 'ftp://host/', 'data:,x']) {
        const error = await raised(http.request('GET', `${url}/redirect/302?to=${encodeURIComponent(to)}`));
        equal([to, error instanceof LocationValueError], [to, true]);
      }
      const two = await http.request('GET', `${url}/redirect/302?to=../echo&to=../other`);
      equal([two.status, two.headers.getList('location')], [302, ['../echo', '../other']]);
    },
  },
  {
    name: 'SEC-059 (CVE-2021-22876): request() makes no credentials of user-info in a Location',
    needs: ['redirects'],
    async run(world) {
      const { http, url, equal } = world;
      const to = encodeURIComponent(`${url.replace('://', '://user:secret@')}/echo`);
      const response = await http.request('GET', `${url}/redirect/302?to=${to}`);
      equal([response.url, (await lastSeen(world)).fields.authorization], [`${url}/echo`, undefined]);
    },
  },
];

const RETRIES: readonly Behaviour[] = [
  {
    name: 'request() asks again on statuses of statusForcelist, and lists the attempts',
    async run(world) {
      const { http, url, equal } = world;
      const retries = new Retry(3, { statusForcelist: [500] });
      const response = await http.request('GET', `${url}/flaky/2/500`, { retries });
      equal([response.status, text(response.data), (await seen(world)).length], [200, 'done', 3]);
      equal(
        response.retries?.history.map(({ status }) => status),
        [500, 500],
      );
      equal(response.retries?.total, 1);
    },
  },
  {
    name: 'request() raises MaxRetryError when retries are used up, with every attempt, or gives the last response',
    async run(world) {
      const { http, url, equal } = world;
      const error = await raised(
        http.request('GET', `${url}/status/500`, { retries: new Retry(2, { statusForcelist: [500] }) }),
      );
      equal(chain(error), ['MaxRetryError', 'ResponseError']);
      if (!(error instanceof MaxRetryError)) throw error;
      equal(
        [error.reason instanceof ResponseError, error.attempts.map(({ status }) => status)],
        [true, [500, 500, 500]],
      );
      equal(new URL(`${url}/status/500`).pathname, error.url);
      const lenient = new Retry(1, { statusForcelist: [500], raiseOnStatus: false });
      equal((await http.request('GET', `${url}/status/500`, { retries: lenient })).status, 500);
      equal((await seen(world)).length, 5);
    },
  },
  {
    name: 'request() does not repeat a POST on a status, unless told that it may',
    async run(world) {
      const { http, url, equal } = world;
      equal(
        (await http.request('POST', `${url}/flaky/1/500`, { retries: new Retry({ statusForcelist: [500] }) })).status,
        500,
      );
      const allowed = new Retry({ statusForcelist: [500], allowedMethods: false });
      equal((await http.request('POST', `${url}/flaky/1/500?b`, { retries: allowed })).status, 200);
    },
  },
  {
    name: 'request() obeys Retry-After, unless told not to',
    async run(world) {
      const { http, url, equal } = world;
      const began = performance.now();
      equal((await http.request('GET', `${url}/flaky/1/503?after=1`)).status, 200);
      equal(performance.now() - began >= 950, true);
      const deaf = new Retry({ respectRetryAfterHeader: false });
      equal((await http.request('GET', `${url}/flaky/1/429?after=60`, { retries: deaf })).status, 429);
    },
  },
  {
    name: 'request() asks again where nobody listens, and raises MaxRetryError of a NewConnectionError',
    needs: ['causes'],
    async run({ http, refused, equal }) {
      const error = await raised(http.request('GET', `${refused}/`, { retries: 1 }));
      equal(chain(error).slice(0, 2), ['MaxRetryError', 'NewConnectionError']);
      if (!(error instanceof MaxRetryError)) throw error;
      equal([error.code, error.attempts.length, error.phase], ['ECONNREFUSED', 2, 'connect']);
      const raw = await raised(http.request('POST', `${refused}/`, { retries: false }));
      equal([chain(raw)[0], raw instanceof NewConnectionError], ['NewConnectionError', true]);
    },
  },
  {
    name: 'request() says with an error of ours that there is nobody',
    async run({ http, refused, equal }) {
      const error = await raised(http.request('GET', `${refused}/`, { retries: false }));
      equal([error instanceof HTTPError, error instanceof HTTPError && error.cause instanceof Error], [true, true]);
    },
  },
  {
    name: 'request() repeats what may be repeated when the connection breaks without an answer',
    needs: ['one-attempt'],
    async run(world) {
      const { http, url, equal } = world;
      equal(text((await http.request('GET', `${url}/dies/2`, { retries: 3 })).data), 'done');
      equal(chain(await raised(http.request('POST', `${url}/dies/9`)))[0], 'ProtocolError');
      equal((await seen(world)).length, 4);
      equal(chain(await raised(http.request('GET', `${url}/dies/9?b`, { retries: 1 }))).slice(0, 2), [
        'MaxRetryError',
        'ProtocolError',
      ]);
    },
  },
  {
    name: 'request() raises ProtocolError for what is no HTTP',
    async run({ http, url, equal }) {
      const error = await raised(http.request('GET', `${url}/noHttp`, { retries: false }));
      equal(error instanceof ProtocolError, true);
    },
  },
  {
    name: 'request() asks again when preloaded content breaks off',
    async run(world) {
      const { http, url, equal } = world;
      const response = await http.request('GET', `${url}/cut/1`, { retries: 2 });
      equal([text(response.data), response.retries?.total, response.retries?.history.length], ['done', 1, 1]);
    },
  },
  {
    name: 'request() raises ProtocolError of IncompleteRead for content that is cut short, or gives what came',
    async run({ http, url, equal }) {
      const error = await raised(http.request('GET', `${url}/cut/9`, { retries: false }));
      equal(chain(error).slice(0, 2), ['ProtocolError', 'IncompleteRead']);
      // A stream that fails may drop what it has not given yet, so that it is not to fail before.
      const streamed = await http.request('GET', `${url}/cut/9?held`, { preloadContent: false });
      equal(text(await streamed.read(3)), 'abc');
      await http.request('POST', `${url}/release`);
      const late = await raised(streamed.read());
      const cause = late instanceof ProtocolError ? late.cause : null;
      equal(cause instanceof IncompleteRead && [cause.partial, cause.expected], [3, 7]);
      const release = () => void http.request('POST', `${url}/release`);
      const given = { enforceContentLength: false, onDownloadProgress: release };
      const lenient = await http.request('GET', `${url}/cut/9?held`, given);
      equal(text(lenient.data), 'abc');
    },
  },
  {
    name: 'request() raises ProtocolError of IncompleteRead for chunked content without an end',
    async run({ http, url, equal }) {
      const error = await raised(http.request('GET', `${url}/cutChunked`, { retries: false }));
      equal(chain(error).slice(0, 2), ['ProtocolError', 'IncompleteRead']);
    },
  },
  {
    name: 'RetryBudget holds for all requests of a manager',
    async run(world) {
      const { make, url, equal } = world;
      const retries = new Retry(5, { statusForcelist: [500] });
      const http = make({ retries, retryBudget: new RetryBudget({ ratio: 0, minPerSecond: 0.1, window: 10 }) });
      const error = await raised(http.request('GET', `${url}/status/500`));
      equal([chain(error)[0], (await seen(world)).length], ['RetryBudgetExhaustedError', 2]);
    },
  },
];

const TIMES: readonly Behaviour[] = [
  {
    name: 'timeout ends a wait for the head with ReadTimeoutError',
    async run({ http, url, equal }) {
      const error = await raised(http.request('GET', `${url}/silent`, { timeout: 0.1, retries: false }));
      equal([chain(error), error instanceof TimeoutError && error.phase], [['ReadTimeoutError'], 'wait']);
      const again = await raised(http.request('GET', `${url}/silent`, { timeout: 0.05, retries: 1 }));
      equal(chain(again), ['MaxRetryError', 'ReadTimeoutError']);
    },
  },
  {
    name: 'timeout ends a gap in the content with ReadTimeoutError, and is no limit for content that keeps coming',
    async run({ http, url, equal }) {
      const timeout = new Timeout({ read: 0.3 });
      const response = await http.request('GET', `${url}/stalls`, { timeout, preloadContent: false });
      const late = await raised(response.read());
      equal([chain(late), late instanceof ReadTimeoutError && late.phase], [['ReadTimeoutError'], 'content']);
      equal((await http.request('GET', `${url}/drips/8?pause=60`, { timeout })).data.length, 8);
    },
  },
  {
    name: 'timeout: total holds for the head and for content that is preloaded',
    async run({ http, url, equal }) {
      const timeout = new Timeout({ total: 0.3 });
      const options = { timeout, retries: false } as const;
      equal(chain(await raised(http.request('GET', `${url}/silent`, options))), ['ReadTimeoutError']);
      equal(chain(await raised(http.request('GET', `${url}/drips/100?pause=50`, options))), ['ReadTimeoutError']);
    },
  },
  {
    name: 'deadline holds for all attempts, pauses and content, and tells what took the time',
    async run({ http, url, equal }) {
      const error = await raised(http.request('GET', `${url}/silent`, { deadline: 0.2 }));
      if (!(error instanceof DeadlineExceededError)) throw error;
      equal([error.deadline, error.bill.length, error.bill[0]?.phases.at(-1)?.phase], [0.2, 1, 'wait']);
      const pause = await raised(http.request('GET', `${url}/flaky/9/503?after=60`, { deadline: 0.3 }));
      equal(pause instanceof DeadlineExceededError && pause.bill[0]?.outcome, 'status 503');
      const preloaded = await raised(http.request('GET', `${url}/stalls`, { deadline: 0.3, retries: 0 }));
      equal(chain(preloaded), ['DeadlineExceededError']);
      const streamed = await http.request('GET', `${url}/stalls`, { deadline: 0.3, preloadContent: false });
      equal(chain(await raised(streamed.read())), ['DeadlineExceededError']);
    },
  },
  {
    name: "signal ends a request wherever it is, with the signal's reason",
    async run(world) {
      const { http, url, equal } = world;
      const mine = new Error('mine');
      equal((await raised(http.request('GET', `${url}/echo`, { signal: AbortSignal.abort(mine) }))) === mine, true);
      equal(await seen(world), []);
      const waiting = new AbortController();
      const answer = raised(http.request('GET', `${url}/silent`, { signal: waiting.signal }));
      setTimeout(() => waiting.abort(mine), 50);
      equal((await answer) === mine, true);
      const pausing = new AbortController();
      const again = raised(http.request('GET', `${url}/flaky/9/503?after=60`, { signal: pausing.signal }));
      setTimeout(() => pausing.abort(mine), 100);
      equal((await again) === mine, true);
      const reading = new AbortController();
      const response = await http.request('GET', `${url}/stalls`, { signal: reading.signal, preloadContent: false });
      const content = raised(response.read());
      reading.abort(mine);
      equal((await content) === mine, true);
    },
  },
  {
    name: 'response.timings tells what waiting and content took',
    async run({ http, url, equal }) {
      const { timings } = await http.request('GET', `${url}/drips/3?pause=30`);
      if (timings === null) throw new Error('there are timings');
      equal([timings.content >= 0.05, timings.total >= timings.content + timings.wait], [true, true]);
    },
  },
  {
    name: 'request() runs side by side, each to its own end',
    async run({ http, url, equal }) {
      const all = Array.from(
        { length: 20 },
        async (_, index) => (await http.request('GET', `${url}/bytes/${index}`)).data.length,
      );
      equal(
        await Promise.all(all),
        Array.from({ length: 20 }, (_, index) => index),
      );
    },
  },
];

export const BEHAVIOURS: readonly Behaviour[] = [
  ...REQUESTS,
  ...BODIES,
  ...CONTENT,
  ...REDIRECTS,
  ...RETRIES,
  ...TIMES,
];
