/**
 * Which handler answers which path: a table of patterns, methods and handlers, and the search in it.
 *
 * A pattern is a path whose segments are literal or a parameter in braces: `{user}` is any one segment, `{n:int}` one
 * of digits only, `{rest:path}` (last) all that remains. Segments are split first and percent-decoded after, so an
 * encoded slash stays inside its parameter. Which methods a route allows is data here; the answers to a wrong method,
 * to OPTIONS and to an unknown path are in server.ts.
 */
import type { Exchange } from './exchange.js';
import { Refusal, wholeNumber } from './refusal.js';

/** Answers one exchange; may wait. What it throws becomes the answer (server.ts). */
export type Handler = (exchange: Exchange, params: PathParams) => void | Promise<void>;

/** One line of the table. */
export interface Route {
  readonly path: string;
  /** What the client may use; HEAD comes with GET, and OPTIONS always. */
  readonly methods: readonly string[];
  /** What the endpoint is for, shown in the index. */
  readonly summary: string;
  readonly handler: Handler;
}

export const GET = ['GET'] as const;
export const ANY_METHOD = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'TRACE'] as const;

/** What a route answers to, as its Allow field says it. */
export function allowedMethods(route: Route): string[] {
  const head = route.methods.includes('GET') ? ['HEAD'] : [];
  return [...route.methods, ...head, 'OPTIONS'];
}

/** The decoded parameters of a matched path. */
export class PathParams {
  readonly #values: ReadonlyMap<string, string>;

  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values;
  }

  /** The parameter's text; empty where the matched pattern has no such parameter. */
  text(name: string): string {
    return this.#values.get(name) ?? '';
  }

  /** The value of an `{name:int}` parameter. */
  integer(name: string): number {
    return wholeNumber(this.text(name), name);
  }
}

/** Finds the route for a path; routes share no first segment by accident, so that segment is the index. */
export class Router {
  readonly #byFirstSegment = new Map<string, { readonly pattern: readonly string[]; readonly route: Route }[]>();

  constructor(routes: readonly Route[]) {
    for (const route of routes) {
      const pattern = segments(route.path);
      const first = pattern[0] ?? '';
      const list = this.#byFirstSegment.get(first) ?? [];
      list.push({ pattern, route });
      this.#byFirstSegment.set(first, list);
    }
  }

  /** The first route that fits the raw `path`, with its parameters; a badly encoded path is refused. */
  find(path: string): { readonly route: Route; readonly params: PathParams } | undefined {
    if (!path.startsWith('/')) return undefined; // the asterisk form
    const given = segments(path);
    for (const { pattern, route } of this.#byFirstSegment.get(given[0] ?? '') ?? []) {
      const values = match(pattern, given);
      if (values !== undefined) return { route, params: new PathParams(values) };
    }
    return undefined;
  }
}

function segments(path: string): string[] {
  return path.slice(1).split('/');
}

function match(pattern: readonly string[], given: readonly string[]): Map<string, string> | undefined {
  const values = new Map<string, string>();
  for (const [index, expected] of pattern.entries()) {
    const actual = given[index];
    if (actual === undefined) return undefined;
    if (!expected.startsWith('{')) {
      if (actual !== expected) return undefined;
      continue;
    }
    const [name = '', kind] = expected.slice(1, -1).split(':');
    if (kind === 'path') return values.set(name, decode(given.slice(index).join('/')));
    if (kind === 'int' ? !/^\d+$/.test(actual) : actual === '') return undefined;
    values.set(name, decode(actual));
  }
  return given.length === pattern.length ? values : undefined;
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new Refusal(400, `The path is not percent-encoded UTF-8: ${JSON.stringify(segment)}`);
  }
}
