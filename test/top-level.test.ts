import { afterAll, beforeAll, expect, test } from 'vitest';
import { LocationValueError } from '../src/exceptions.js';
import { type Httpbin, startHttpbin } from '../src/testing/index.js';
import { request } from '../src/top-level.js';

let httpbin: Httpbin;
beforeAll(async () => {
  httpbin = await startHttpbin();
});
afterAll(() => httpbin.close());

test('request() makes a request with a manager that all calls share', async () => {
  const first = await request('GET', `${httpbin.url}/get`, { fields: { arg: 'value' } });
  expect(await first.json()).toMatchObject({ args: { arg: 'value' } });
  expect((await request('POST', `${httpbin.url}/post`, { json: [1] })).status).toBe(200);
  expect((await request('GET', `${httpbin.url}/redirect/2`)).status).toBe(200);
  expect(httpbin.connections).toBe(1);
  await expect(request('GET', 'nowhere')).rejects.toThrow(LocationValueError);
});
