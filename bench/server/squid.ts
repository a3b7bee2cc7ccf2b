/**
 * squid as a proxy that people have, where it is installed: without a cache, a log, or a question of who asks.
 *
 * Its configuration is in a folder that the caller gives and removes. It holds nothing that is worth more than a SIGKILL; what
 * it has in shared memory is under a name of its own.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, untilListening } from './ports.js';

export interface SquidProgram {
  readonly path: string;
  readonly version: string;
}

export interface SquidServer {
  readonly door: string;
  stop(): Promise<void>;
}

const PLACES = ['squid', '/usr/sbin/squid', '/usr/local/sbin/squid', '/opt/homebrew/sbin/squid'];

const SHARED_MEMORY = '/dev/shm';

/** squid, or `null` where there is none. */
export function findSquid(): SquidProgram | null {
  for (const path of PLACES) {
    const { status, stdout } = spawnSync(path, ['-v'], { encoding: 'utf8' });
    if (status === 0) return { path, version: /Version (\S+)/.exec(stdout)?.[1] ?? 'unknown' };
  }
  return null;
}

export async function startSquid(program: SquidProgram, folder: string): Promise<SquidServer> {
  const [port = 0] = await freePorts(1);
  const own = join(folder, 'squid');
  mkdirSync(own);
  giveAway(folder, own);
  writeFileSync(join(folder, 'squid.conf'), configuration(own, port));
  const name = `urllib3bench${process.pid}`;
  const child = spawn(program.path, ['-N', '-n', name, '-f', join(folder, 'squid.conf')], { stdio: 'ignore' });
  await untilListening(child, [port], join(own, 'cache.log'));
  return {
    door: `http://127.0.0.1:${port}`,
    async stop() {
      const ended = once(child, 'exit');
      if (child.exitCode === null && child.kill('SIGKILL')) await ended;
      forget(name);
    },
  };
}

/** Started by root, squid becomes another user, who must be able to write its files. */
function giveAway(folder: string, own: string): void {
  if (process.getuid?.() !== 0) return;
  chmodSync(folder, 0o755);
  const [uid, gid] = ['-u', '-g'].map((flag) => Number(spawnSync('id', [flag, 'proxy'], { encoding: 'utf8' }).stdout));
  if (uid && gid) chownSync(own, uid, gid);
}

function forget(name: string): void {
  if (process.platform !== 'linux') return;
  for (const file of readdirSync(SHARED_MEMORY)) if (file.startsWith(`${name}-`)) rmSync(join(SHARED_MEMORY, file));
}

function configuration(own: string, port: number): string {
  return `
pid_filename ${own}/squid.pid
access_log none
cache_log ${own}/cache.log
coredump_dir ${own}
cache deny all
cache_mem 8 MB
netdb_filename none
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname squid.test
http_port 127.0.0.1:${port}
http_access allow localhost
http_access deny all
`;
}
