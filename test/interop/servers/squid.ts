/** squid: a forward proxy, with and without passwords and TLS. Its own hosts file knows names that nobody else does. */
import { execFileSync } from 'node:child_process';
import { chown, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Identity } from '../../support/authority.js';
import { HOSTS_FILE } from './origin.js';
import { linesOf, type RunningServer, startServer } from './running.js';

/** One request, or one tunnel, as squid logs it when it is over. */
export interface SquidRequest {
  /** The client's port: one for each connection. */
  readonly clientPort: number;
  readonly method: string;
  readonly url: string;
  readonly status: number;
  readonly user: string;
}

export interface Squid extends RunningServer {
  /** Ports that serve everybody. */
  readonly open: Readonly<Record<'http' | 'https', number>>;
  /** Ports that want {@link SQUID_USER}. */
  readonly private: Readonly<Record<'http' | 'https', number>>;
  requests(marker: string, count: number): Promise<readonly SquidRequest[]>;
}

export const SQUID_USER = { name: 'user', password: 'p@ss:wörd' } as const;

/** A host that squid's rules forbid. */
export const FORBIDDEN_HOST = 'forbidden.test';

/**
 * @param identity - what it shows where it is spoken to over TLS
 * @param root - PEM: whom it trusts where it speaks TLS to an origin itself
 */
export async function startSquid(identity: Identity, root: string): Promise<Squid> {
  const server = await startServer({
    program: 'squid',
    portCount: 4,
    // It has nothing to lose, and ends otherwise only after two seconds, whatever its configuration says.
    stopSignal: 'SIGKILL',
    async prepare(folder, ports) {
      const own = path.join(folder, 'own');
      await mkdir(own);
      await writeFile(path.join(folder, 'hosts'), HOSTS_FILE);
      await writeFile(path.join(folder, 'squid.pem'), identity.cert);
      await writeFile(path.join(folder, 'squid.key'), identity.key);
      await writeFile(path.join(folder, 'root.pem'), root);
      const { name, password } = SQUID_USER;
      const hashed = execFileSync('openssl', ['passwd', '-apr1', password], { encoding: 'utf8' });
      await writeFile(path.join(folder, 'passwords'), `${name}:${hashed}`);
      await writeFile(path.join(folder, 'squid.conf'), configuration(folder, ports));
      // Started by root, it becomes the user "proxy".
      if (process.getuid?.() === 0) await chown(own, idOf('-u'), idOf('-g'));
      return ['-N', '-n', serviceName(ports), '-f', path.join(folder, 'squid.conf')];
    },
  });
  const [openHttp = 0, openHttps = 0, privateHttp = 0, privateHttps = 0] = server.ports;
  const stop = async () => {
    await server.stop();
    await forgetSharedMemory(serviceName(server.ports));
  };
  return {
    ...server,
    stop,
    [Symbol.asyncDispose]: stop,
    open: { http: openHttp, https: openHttps },
    private: { http: privateHttp, https: privateHttps },
    async requests(marker, count) {
      const lines = await linesOf(path.join(server.folder, 'own', 'access.log'), marker, count);
      // The log format below writes exactly these fields.
      return lines.map((line) => JSON.parse(line) as SquidRequest);
    },
  };
}

/** Keeps its shared memory apart from that of any other squid; letters and digits only. */
function serviceName([port]: readonly number[]): string {
  return `urllib3x${process.pid}x${port}`;
}

/** What squid does by itself where it is not killed. */
async function forgetSharedMemory(name: string): Promise<void> {
  const folder = '/dev/shm';
  const files = await readdir(folder).catch(() => []);
  const own = files.filter((file) => file.startsWith(`${name}-`));
  await Promise.all(own.map((file) => rm(path.join(folder, file), { force: true })));
}

function idOf(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'proxy'], { encoding: 'utf8' }));
}

function configuration(folder: string, [openHttp, openHttps, privateHttp, privateHttps]: readonly number[]): string {
  const tls = `tls-cert=${folder}/squid.pem tls-key=${folder}/squid.key`;
  return `
pid_filename ${folder}/own/squid.pid
logformat request {"clientPort":%>p,"method":"%rm","url":"%ru","status":%>Hs,"user":"%[un"}
access_log stdio:${folder}/own/access.log logformat=request
cache_log ${folder}/own/cache.log
logfile_rotate 0
cache deny all
cache_mem 8 MB
coredump_dir ${folder}/own
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
hosts_file ${folder}/hosts
visible_hostname squid.test
http_port 127.0.0.1:${openHttp}
https_port 127.0.0.1:${openHttps} ${tls}
http_port 127.0.0.1:${privateHttp} name=private
https_port 127.0.0.1:${privateHttps} name=privatetls ${tls}
tls_outgoing_options cafile=${folder}/root.pem
auth_param basic program /usr/lib/squid/basic_ncsa_auth ${folder}/passwords
auth_param basic realm squid
auth_param basic children 1
acl private myportname private privatetls
acl users proxy_auth REQUIRED
acl forbidden dstdomain ${FORBIDDEN_HOST}
http_access deny forbidden
http_access deny private !users
http_access allow localhost
http_access deny all
`;
}
