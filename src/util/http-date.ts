/**
 * HTTP-date (RFC 9110 section 5.6.7), for Retry-After.
 *
 * Its three forms are read as UTC, which is what GMT means there; a numeric offset, which RFC 5322 would allow in its
 * place, is taken into account. `Date.parse` is no help: it reads the asctime form in local time, and much that is no date.
 */

/** The longest is `Wednesday, 09-Nov-94 08:49:37 GMT`; with this bound no pattern has much to do, whatever a peer sends. */
const MAX_LENGTH = 40;

/** `Sun, 06 Nov 1994 08:49:37 GMT` and `Sunday, 06-Nov-94 08:49:37 GMT`. */
const DAY_FIRST =
  /^(?:[a-z]{3,9}, )?(?<day>\d{1,2})[ -](?<month>[a-z]{3})[ -](?<year>\d{4}|\d{2}) (?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d) (?:GMT|UTC|(?<sign>[+-])(?<offsetHour>\d\d)(?<offsetMinute>\d\d))$/i;

/** `Sun Nov  6 08:49:37 1994`, of C's asctime(). */
const MONTH_FIRST =
  /^[a-z]{3} (?<month>[a-z]{3}) (?<day>[ \d]\d) (?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d) (?<year>\d{4})$/i;

const MONTHS = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ');

/** Milliseconds since 1970 of an HTTP-date; undefined if `text` is none. */
export function tryParseHttpDate(text: string, nowMs: number = Date.now()): number | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const parts = (DAY_FIRST.exec(text) ?? MONTH_FIRST.exec(text))?.groups;
  if (parts === undefined) return undefined;
  const month = MONTHS.indexOf((parts.month ?? '').toLowerCase());
  const [day, hour, minute, second] = [parts.day, parts.hour, parts.minute, parts.second].map(Number);
  if (day === undefined || hour === undefined || minute === undefined || second === undefined) return undefined;
  const date = new Date(0);
  date.setUTCFullYear(fullYear(parts.year ?? '', nowMs), month, day);
  const exists = month >= 0 && date.getUTCMonth() === month && date.getUTCDate() === day;
  if (!exists || hour > 23 || minute > 59 || second > 60) return undefined;
  date.setUTCHours(hour, minute, second);
  return date.getTime() - offsetMs(parts);
}

/** Two digits are the year that is at most 50 years ahead (RFC 9110 section 5.6.7). */
function fullYear(digits: string, nowMs: number): number {
  if (digits.length === 4) return Number(digits);
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + Number(digits);
  return year > thisYear + 50 ? year - 100 : year;
}

function offsetMs({ sign, offsetHour, offsetMinute }: { readonly [name: string]: string | undefined }): number {
  if (sign === undefined) return 0;
  const minutes = Number(offsetHour) * 60 + Number(offsetMinute);
  return (sign === '-' ? -minutes : minutes) * 60_000;
}
