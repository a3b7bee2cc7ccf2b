/**
 * Credentials by origin: what a manager, which goes anywhere, is told of who makes its requests.
 *
 * An origin is scheme, host and port, whole: no sub-domains, no wildcards, no default for the rest. So credentials reach
 * nobody whom their owner has not named.
 */
import { describe, withoutUserinfo } from '../excerpt.js';
import { parseUrl } from '../util/url.js';
import { type Auth, type Credentials, resolveAuth, SchemeCredentials } from './credentials.js';

/** Credentials by origins such as `https://api.example.com`; the port may be left out where it is the scheme's own. */
export type AuthByOrigin = Readonly<Record<string, Auth | null | undefined>>;

const EXAMPLE = `{ 'https://api.example.com': { type: 'basic', username, password } }`;

/**
 * Checked credentials by `Url.origin`; null without any.
 *
 * @throws TypeError or RangeError saying which part cannot be used, and never with what was in it
 */
export function credentialsByOrigin(option: string, value: unknown): ReadonlyMap<string, Credentials> | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'object' || value instanceof SchemeCredentials || Object.hasOwn(value, 'type')) {
    throw new TypeError(
      `Cannot use the ${option} given: a manager must be told for which origin it is, as in ${EXAMPLE}; a request, or a pool, ` +
        'knows its origin',
    );
  }
  const byOrigin = new Map<string, Credentials>();
  for (const [name, auth] of Object.entries(value)) {
    const origin = originNamed(option, name);
    if (byOrigin.has(origin)) throw new TypeError(`Cannot use ${option} that names the origin "${origin}" twice`);
    const credentials = auth === undefined ? null : resolveAuth(`${option} for "${origin}"`, auth);
    if (credentials !== null) byOrigin.set(origin, credentials);
  }
  return byOrigin.size === 0 ? null : byOrigin;
}

function originNamed(option: string, name: string): string {
  const url = parsed(name);
  const isWeb = url?.scheme === 'http' || url?.scheme === 'https';
  const isBare = (url?.path ?? '/') === '/' && url?.auth === null && url.query === null && url.fragment === null;
  if (isWeb && isBare && url.origin !== null) return url.origin;
  const shown = describe(withoutUserinfo(name));
  throw new TypeError(
    `Cannot use ${option} for ${shown}: it must be an origin, such as "https://api.example.com", without a path`,
  );
}

function parsed(name: string): ReturnType<typeof parseUrl> | null {
  try {
    return parseUrl(name);
  } catch {
    return null;
  }
}
