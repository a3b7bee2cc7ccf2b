/**
 * The process in which the blocks of the documentation run: plain Node, with the package as a user has installed it.
 *
 * It is compiled into a folder of its own and reads `job.json` there. Several blocks run at the same time, each as one module
 * with its own console; the hosts that they name are servers of this process. It writes `report.json` and does not call
 * `process.exit`: a block that leaves something behind that keeps the process alive is found out by the parent.
 */
import { Console } from 'node:console';
import { readFileSync, writeFileSync } from 'node:fs';
import { Writable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { startHttpbin } from 'urllib3/testing';
import { startNtlmServer } from './ntlm-server.js';
import { proxyServer } from './proxy-server.js';
import { socksServer } from './socks-server.js';
import { startUrlfetchServer } from './urlfetch-server.js';

export interface DocsJob {
  /** Each a module of JavaScript. */
  readonly blocks: readonly { readonly id: string; readonly code: string }[];
  /** In PEM, for `localhost`, and whoever vouches for clients. */
  readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string };
}

export interface BlockReport {
  readonly printed: readonly string[];
  /** What the module threw, with its stack; null if nothing. */
  readonly error: string | null;
}

export type DocsReport = Readonly<Record<string, BlockReport>>;

// What the parent wrote there.
const { blocks, tls: credentials }: DocsJob = JSON.parse(readFileSync('job.json', 'utf8'));
const { clientCa, ...tls } = credentials;
const plain = await startHttpbin();
const secure = await startHttpbin({ tls });
const members = await startHttpbin({ tls: { ...tls, ca: clientCa, requestCert: true, rejectUnauthorized: true } });
const socks = await socksServer();
const proxy = await proxyServer();
const secureProxy = await proxyServer({ identity: tls });
const loginProxy = await proxyServer({ credentials: `Basic ${Buffer.from('user:p@ssword').toString('base64')}` });
const urlfetch = await startUrlfetchServer();
const ntlm = await startNtlmServer({ tls });
Object.assign(process.env, { API_HOST: urlfetch.host, API_PORT: String(urlfetch.port) });

/** What the documentation says, and what it is here. */
const SERVERS: readonly (readonly [shown: string, real: string])[] = [
  ['http://httpbin.org', plain.url],
  ['https://intranet.example.com', `https://localhost:${secure.port}`],
  ['https://files.example.com:8443', ntlm.url],
  ['https://members.example.com', `https://localhost:${members.port}`],
];

/** The same for hosts that stand behind another scheme than http. */
const HOSTS: typeof SERVERS = [
  ['proxy.example.com:1080', `127.0.0.1:${socks.port}`],
  ['proxy.example.com:3128', `127.0.0.1:${proxy.port}`],
  ['login.example.com:3128', `127.0.0.1:${loginProxy.port}`],
  ['secure.example.com:3129', `localhost:${secureProxy.port}`],
  [`'files.example.com', { port: 8443`, `'localhost', { port: ${ntlm.port}`],
];

/** Enough that those that wait hold up nobody, and not so many that one holds up the clocks of all. */
const LANES = 12;

const report: Record<string, BlockReport> = {};
const waiting = [...blocks];
await Promise.all(Array.from({ length: LANES }, runLane));
await Promise.all([plain, secure, members, urlfetch].map((server) => server.close()));
for (const server of [socks, proxy, secureProxy, loginProxy, ntlm]) await server[Symbol.asyncDispose]();
writeFileSync('report.json', JSON.stringify(report));

async function runLane(): Promise<void> {
  for (let block = waiting.shift(); block !== undefined; block = waiting.shift()) {
    report[block.id] = await run(block.id, block.code);
  }
}

async function run(id: string, code: string): Promise<BlockReport> {
  const printed: string[] = [];
  Object.assign(globalThis, { [id]: recorder(printed) });
  // On the block's own first line, so that lines in stacks stay true.
  const module = `const console = globalThis[${JSON.stringify(id)}];${withRealServers(code)}`;
  const path = `${id}.mjs`;
  writeFileSync(path, module);
  try {
    await import(pathToFileURL(path).href);
    return { printed, error: null };
  } catch (error) {
    return { printed, error: error instanceof Error ? withShownServers(error.stack ?? error.message) : String(error) };
  }
}

/** A console whose every call is one entry. */
function recorder(printed: string[]): Console {
  const sink = new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      printed.push(withShownServers(text));
      done();
    },
  });
  return new Console({ stdout: sink, colorMode: false });
}

function withRealServers(code: string): string {
  return [...SERVERS, ...HOSTS].reduce((text, [shown, real]) => text.replaceAll(shown, real), code);
}

/** Also where a server is named without its scheme, as in Host. */
function withShownServers(output: string): string {
  const hosts = HOSTS.reduce((text, [shown, real]) => text.replaceAll(real, shown), output);
  return SERVERS.reduce((text, [shown, real]) => {
    return text.replaceAll(real, shown).replaceAll(new URL(real).host, new URL(shown).host);
  }, hosts);
}
