/**
 * What is measured: the table of scenarios, and how the command line picks from it.
 *
 * Pure data. A scenario says which door of the servers is used (server/doors.ts), what is done there and how much of it;
 * measure.ts knows how to do it, report.ts how to judge it.
 */
import type { Door, ProxyDoor } from './server/doors.js';

/** What one measured process does, at a door of the servers. */
export type Work =
  /** As many GETs as fit into the time, one after the other on each connection. */
  | {
      readonly kind: 'requests';
      readonly path: string;
      readonly contentBytes: number;
      readonly connections: number;
      readonly gzip: boolean;
    }
  /** As many POSTs of a generated stream as fit into the time. */
  | { readonly kind: 'uploads'; readonly sizeBytes: number; readonly connections: number }
  /** One download that is read chunk by chunk and kept nowhere. */
  | { readonly kind: 'download'; readonly path: string; readonly sizeBytes: number }
  /** One POST of a generated stream. */
  | { readonly kind: 'upload'; readonly sizeBytes: number }
  /** Connections that have answered one request each and are kept. */
  | { readonly kind: 'idle'; readonly connections: number };

export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly door: Door;
  /** The proxy by which the clients go to the door. */
  readonly proxy?: ProxyDoor;
  readonly work: Work;
  /** The clients for which this scenario tells something of their own; absent: all. */
  readonly clients?: readonly string[];
}

/** Sizes that `--quick` makes smaller, and how long a timed scenario runs. */
export interface Scale {
  readonly largeBytes: number;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

export const FULL_SCALE: Scale = { largeBytes: 2 ** 30, warmUpMs: 1000, measureMs: 3000 };

export const QUICK_SCALE: Scale = { largeBytes: 2 ** 26, warmUpMs: 250, measureMs: 350 };

/** Contents that the servers hold; their sizes are checked on every response. */
export const SMALL_BYTES = 200;
export const MEDIUM_BYTES = 64 * 1024;
export const JSON_BYTES = 10 * 1024;
export const WARM_UP_BYTES = 2 ** 24;

const MIB = 2 ** 20;

/** The same at every scale: the heap grows by a few MB for the first ones, which a smaller number would be charged with. */
const IDLE_CONNECTIONS = 2000;

/** got, axios and node-fetch keep their connections in the agent of `node:http`: one of the four is enough. */
const KEEPERS_OF_CONNECTIONS = ['floor', 'urllib3', 'undici-request', 'undici-pool', 'node-http'];

/** undici's three dial alike; axios and node-fetch do as `node:https` does, and so does got, which stands for them. */
const OPENERS_OF_CONNECTIONS = ['urllib3', 'urllib3-unresumed', 'floor', 'undici-request', 'node-http', 'got', 'fetch'];

const SMALL_GETS = { kind: 'requests', path: '/small.json', contentBytes: SMALL_BYTES, gzip: false } as const;

/** The scenarios in the order in which they run. */
export function scenarios(scale: Scale): readonly Scenario[] {
  const largeMib = scale.largeBytes / MIB;
  return [
    ...[1, 10, 50].map((connections) => small('http', connections)),
    ...[1, 10, 50].map((connections) => small('https', connections)),
    {
      name: 'download-64k',
      title: 'GET 64 KiB over HTTP, 10 connections',
      door: 'http',
      work: { kind: 'requests', path: '/medium.bin', contentBytes: MEDIUM_BYTES, connections: 10, gzip: false },
    },
    {
      name: 'gzip',
      title: 'GET 10 KiB of JSON in gzip, decoded, 10 connections',
      door: 'http',
      work: { kind: 'requests', path: '/list.json', contentBytes: JSON_BYTES, connections: 10, gzip: true },
    },
    {
      name: 'upload-1m',
      title: 'POST a stream of 1 MiB, 10 connections',
      door: 'sink',
      work: { kind: 'uploads', sizeBytes: MIB, connections: 10 },
    },
    {
      name: 'large-download',
      title: `GET ${largeMib} MiB, streamed`,
      door: 'http',
      work: { kind: 'download', path: '/large.bin', sizeBytes: scale.largeBytes },
    },
    {
      name: 'large-upload',
      title: `POST a stream of ${largeMib} MiB`,
      door: 'sink',
      work: { kind: 'upload', sizeBytes: scale.largeBytes },
    },
    newConnections('tls-full', 'full handshake each time', 'https-unresumable'),
    newConnections('tls-resumed', 'the server allows resumption', 'https'),
    newConnections('tls-resumed-rsa', 'the server allows resumption, its certificate is of RSA', 'https-rsa'),
    forwarded('proxy-http-10', 'a proxy that does next to nothing', 'proxy'),
    forwarded('proxy-squid-10', 'squid', 'squid'),
    {
      name: 'tunnel-10',
      title: `GET ${SMALL_BYTES} bytes over HTTPS through tunnels, 10 connections`,
      door: 'https',
      proxy: 'proxy',
      work: { ...SMALL_GETS, connections: 10 },
      clients: ['urllib3', 'urllib3-relayed', 'undici-proxy'],
    },
    {
      name: 'idle',
      title: `Memory of ${IDLE_CONNECTIONS} idle connections`,
      door: 'sink',
      work: { kind: 'idle', connections: IDLE_CONNECTIONS },
      clients: KEEPERS_OF_CONNECTIONS,
    },
  ];
}

/**
 * The scenarios that `--only` names: by their name, or by its first words (`small-http` is all three of them).
 *
 * @throws RangeError for a name that picks nothing
 */
export function pickScenarios(all: readonly Scenario[], only: readonly string[]): readonly Scenario[] {
  for (const wanted of only) {
    if (!all.some((scenario) => isNamed(scenario, wanted))) {
      const known = all.map((scenario) => scenario.name).join(', ');
      throw new RangeError(`Cannot run scenario "${wanted}": it must be one of ${known}, or the first words of one`);
    }
  }
  return only.length === 0 ? all : all.filter((scenario) => only.some((wanted) => isNamed(scenario, wanted)));
}

function isNamed(scenario: Scenario, wanted: string): boolean {
  return scenario.name === wanted || scenario.name.startsWith(`${wanted}-`);
}

function small(scheme: 'http' | 'https', connections: number): Scenario {
  return {
    name: `small-${scheme}-${connections}`,
    title: `GET ${SMALL_BYTES} bytes over ${scheme.toUpperCase()}, ${connections} connection${connections === 1 ? '' : 's'}`,
    door: scheme,
    work: { ...SMALL_GETS, connections },
  };
}

function forwarded(name: string, what: string, proxy: ProxyDoor): Scenario {
  return {
    name,
    title: `GET ${SMALL_BYTES} bytes over HTTP in absolute form, by way of ${what}, 10 connections`,
    door: 'http',
    proxy,
    work: { ...SMALL_GETS, connections: 10 },
    clients: ['urllib3', 'undici-proxy'],
  };
}

/** The server closes after each response below `/fresh/`, so every client dials anew without being asked to. */
function newConnections(name: string, handshake: string, door: Door): Scenario {
  return {
    name,
    title: `GET over a new TLS connection each (${handshake})`,
    door,
    work: { kind: 'requests', path: '/fresh/small.json', contentBytes: SMALL_BYTES, connections: 10, gzip: false },
    clients: OPENERS_OF_CONNECTIONS,
  };
}
