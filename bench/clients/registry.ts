/**
 * The clients by name, in the order of the tables. The modules are loaded only in the process that measures them.
 */
export interface ClientEntry {
  /** Name on the command line, and of the module in this folder. */
  readonly name: string;
  /** Package whose version is reported; `null` for what Node brings. */
  readonly packageName: string | null;
  readonly label: string;
  /** Runs only in scenarios that name it. */
  readonly onRequest?: true;
}

export const CLIENTS: readonly ClientEntry[] = [
  { name: 'urllib3', packageName: null, label: 'urllib3' },
  { name: 'urllib3-relayed', packageName: null, label: 'urllib3, no proxy', onRequest: true },
  { name: 'urllib3-unresumed', packageName: null, label: 'urllib3, no resumption', onRequest: true },
  { name: 'floor', packageName: null, label: 'bare socket (floor)' },
  { name: 'undici-dispatch', packageName: 'undici', label: 'undici Pool.dispatch' },
  { name: 'undici-pool', packageName: 'undici', label: 'undici Pool.request' },
  { name: 'undici-request', packageName: 'undici', label: 'undici request()' },
  { name: 'undici-proxy', packageName: 'undici', label: 'undici ProxyAgent', onRequest: true },
  { name: 'node-http', packageName: null, label: 'node:http' },
  { name: 'got', packageName: 'got', label: 'got' },
  { name: 'axios', packageName: 'axios', label: 'axios' },
  { name: 'node-fetch', packageName: 'node-fetch', label: 'node-fetch' },
  { name: 'fetch', packageName: null, label: 'global fetch' },
];

/** All others are compared with this one. */
export const OURS = 'urllib3';

/**
 * The clients that `--clients` names, by their name or its first word (`undici` is all of them); all if none is.
 *
 * @throws RangeError for a name that picks nothing
 */
export function pickClients(wanted: readonly string[]): readonly ClientEntry[] {
  for (const name of wanted) {
    if (!CLIENTS.some((client) => isNamed(client, name))) {
      const known = CLIENTS.map((client) => client.name).join(', ');
      throw new RangeError(`Cannot measure client "${name}": it must be one of ${known}, or the first word of one`);
    }
  }
  return wanted.length === 0 ? CLIENTS : CLIENTS.filter((client) => wanted.some((name) => isNamed(client, name)));
}

function isNamed(client: ClientEntry, wanted: string): boolean {
  if (client.name === wanted) return true;
  // "undici" names a family; "node" would join two clients that have nothing in common.
  return wanted === 'undici' && client.name.startsWith('undici-');
}
