/**
 * JSON as httpbin prints it: keys sorted, two spaces, everything beyond printable ASCII escaped, a line end at the end.
 *
 * `JSON.stringify` cannot be told to sort, and an object whose keys look like numbers comes back in another order, so
 * the layout is done here and only the scalars are left to it.
 */

/** `value` in httpbin's layout. Members that are `undefined` are left out. */
export function prettyJson(value: unknown): string {
  return `${escapeNonAscii(print(value, ''))}\n`;
}

/** `value` on one line, as in a stream of JSON lines. */
export function jsonLine(value: unknown): string {
  return `${escapeNonAscii(JSON.stringify(value))}\n`;
}

/** Pairs as an object: a name that comes once has its value, one that comes again has the list of its values. */
export function gather(pairs: Iterable<readonly [string, string]>): Record<string, string | string[]> {
  const lists = new Map<string, string[]>();
  for (const [name, value] of pairs) {
    const list = lists.get(name);
    if (list === undefined) lists.set(name, [value]);
    else list.push(value);
  }
  // fromEntries defines own properties, so a name like __proto__ is a name like any other.
  return Object.fromEntries([...lists].map(([name, list]) => [name, list.length === 1 ? list.join() : list]));
}

function print(value: unknown, indent: string): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const inner = `${indent}  `;
  if (Array.isArray(value)) {
    return enclose(
      '[]',
      value.map((item: unknown) => print(item, inner)),
      indent,
    );
  }
  const entries: [string, unknown][] = Object.entries(value);
  const members = entries
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}: ${print(member, inner)}`);
  return enclose('{}', members, indent);
}

function enclose(brackets: string, lines: readonly string[], indent: string): string {
  if (lines.length === 0) return brackets;
  const [open = '', close = ''] = brackets;
  return `${open}\n${lines.map((line) => `${indent}  ${line}`).join(',\n')}\n${indent}${close}`;
}

function escapeNonAscii(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
