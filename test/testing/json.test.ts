import fc from 'fast-check';
import { expect, test } from 'vitest';
import { gather, jsonLine, prettyJson } from '../../src/testing/json.js';

test('prettyJson() sorts keys as text, indents by two spaces and ends the line', () => {
  expect(prettyJson({ b: 1, a: { 10: [], 9: {} }, c: ['x', null, true], d: undefined })).toBe(
    '{\n  "a": {\n    "10": [],\n    "9": {}\n  },\n  "b": 1,\n  "c": [\n    "x",\n    null,\n    true\n  ]\n}\n',
  );
});

test('prettyJson() escapes all that is not printable ASCII', () => {
  expect(prettyJson({ é: '\u007f🦊\n' })).toBe('{\n  "\\u00e9": "\\u007f\\ud83e\\udd8a\\n"\n}\n');
});

test('prettyJson() is JSON of the same value, whatever the value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(JSON.parse(prettyJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('jsonLine() is one line of JSON in ASCII', () => {
  expect(jsonLine({ b: 'é', a: 1 })).toBe('{"b":"\\u00e9","a":1}\n');
});

test('gather() keeps one value plain, makes a list of several, and takes any name', () => {
  const gathered = gather([
    ['a', '1'],
    ['b', ''],
    ['a', '2'],
    ['__proto__', 'p'],
  ]);
  expect(Object.entries(gathered)).toEqual([
    ['a', ['1', '2']],
    ['b', ''],
    ['__proto__', 'p'],
  ]);
});
