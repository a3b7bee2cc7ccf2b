import { expect, test } from 'vitest';
import { jsonBody } from '../../src/body/json.js';

test('jsonBody() is UTF-8 without blanks, as application/json', () => {
  const body = jsonBody({ a: [1, null, 'ä'], left: undefined });
  expect(body).toEqual({ kind: 'bytes', bytes: Buffer.from('{"a":[1,null,"ä"]}'), contentType: 'application/json' });
});

test.each([
  [null, 'null'],
  [0, '0'],
  ['\ud800', '"\\ud800"'],
  [false, 'false'],
  [new Date(0), '"1970-01-01T00:00:00.000Z"'],
])('jsonBody(%j)', (value, want) => {
  expect(jsonBody(value)).toMatchObject({ bytes: Buffer.from(want) });
});

test.each([
  ['undefined', undefined, 'Cannot send undefined as json: JSON has no such value'],
  ['a function', () => 1, 'Cannot send a function as json'],
  ['a symbol', Symbol('s'), 'Cannot send a symbol as json'],
  ['a BigInt', { n: 1n }, /^Cannot send an object \(Object\) as json: .*BigInt/],
  ['a cycle', cycle(), /^Cannot send an object \(Object\) as json: .*circular[^\n]*$/],
  ['what is too deep', deep(), /^Cannot send an array as json: .*call stack/],
])('jsonBody() refuses %s', (_, value, message) => {
  expect(() => jsonBody(value)).toThrow(TypeError);
  expect(() => jsonBody(value)).toThrow(message);
});

test('jsonBody() keeps the runtime’s complaint as the cause', () => {
  expect(() => jsonBody(cycle())).toThrow(expect.objectContaining({ cause: expect.any(TypeError) }));
});

test('jsonBody() lets an error of toJSON() pass', () => {
  const failure = new SyntaxError('mine');
  const toJSON = () => {
    throw failure;
  };
  expect(() => jsonBody({ toJSON })).toThrow(failure);
});

function cycle(): object {
  const value: { self?: object } = {};
  value.self = value;
  return value;
}

function deep(): unknown[] {
  let value: unknown[] = [];
  for (let depth = 0; depth < 200_000; depth++) value = [value];
  return value;
}
