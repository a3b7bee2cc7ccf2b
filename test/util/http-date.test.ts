import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tryParseHttpDate } from '../../src/util/http-date.js';

const NOW = Date.UTC(2026, 10, 22);
const RFC_EXAMPLE = Date.UTC(1994, 10, 6, 8, 49, 37);

describe('tryParseHttpDate()', () => {
  test.each<[string, number]>([
    ['Sun, 06 Nov 1994 08:49:37 GMT', RFC_EXAMPLE],
    ['Sunday, 06-Nov-94 08:49:37 GMT', RFC_EXAMPLE],
    ['Sun Nov  6 08:49:37 1994', RFC_EXAMPLE],
    ['Sun Nov 06 08:49:37 1994', RFC_EXAMPLE],
    ['06 Nov 1994 08:49:37 GMT', RFC_EXAMPLE],
    ['sun, 6 nov 1994 08:49:37 gmt', RFC_EXAMPLE],
    ['Sun, 06 Nov 1994 08:49:37 UTC', RFC_EXAMPLE],
    ['Sun, 06 Nov 1994 10:49:37 +0200', RFC_EXAMPLE],
    ['Sun, 06 Nov 1994 05:19:37 -0330', RFC_EXAMPLE],
    ['Thu, 29 Feb 2024 23:59:60 GMT', Date.UTC(2024, 2, 1)],
    ['Fri, 31 Dec 9999 23:59:59 GMT', Date.UTC(9999, 11, 31, 23, 59, 59)],
    ['Wednesday, 09-Sep-76 00:00:00 GMT', Date.UTC(2076, 8, 9)],
    ['Wednesday, 09-Sep-77 00:00:00 GMT', Date.UTC(1977, 8, 9)],
    ['Wednesday, 09-Sep-26 00:00:00 GMT', Date.UTC(2026, 8, 9)],
  ])('reads %s (RFC 9110 section 5.6.7)', (text, wanted) => {
    expect(tryParseHttpDate(text, NOW)).toBe(wanted);
  });

  test.each([
    '',
    'junk',
    '1994-11-06T08:49:37Z',
    '06 Nov 1994',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nov 1994 08:49:37 PST',
    'Sun, 06 Nov 1994 8:49:37 GMT',
    'Sun, 06 Nov 1994 24:00:00 GMT',
    'Sun, 06 Nov 1994 08:60:00 GMT',
    'Sun, 06 Nov 1994 08:00:61 GMT',
    'Sun, 31 Feb 2027 08:49:37 GMT',
    'Sun, 29 Feb 2023 08:49:37 GMT',
    'Sun, 00 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 19940 08:49:37 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT',
    'Sun, 06 Foo 1994 08:49:37 GMT',
    'Sun, 06 \u017fep 1994 08:49:37 GMT',
    'Sun, 06 Nov 1994 08:49:37 \u212aMT',
    'Sun Nov   08:49:37 1994',
    'Sun, 06\u00a0Nov 1994 08:49:37 GMT',
  ])('refuses %j', (text) => {
    expect(tryParseHttpDate(text, NOW)).toBeUndefined();
  });

  test('reads what Date writes', () => {
    const dates = fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true });
    fc.assert(
      fc.property(dates, (date) => {
        expect(tryParseHttpDate(date.toUTCString())).toBe(Math.floor(date.getTime() / 1000) * 1000);
      }),
    );
  });
});
