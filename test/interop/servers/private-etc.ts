/** Servers that read /etc whatever their configuration says: each with files of its own in the place of the machine's. */
import { spawnSync } from 'node:child_process';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from './program.js';

/** A name for loopback that only servers with {@link writeEtc} know, one for `::1`, and the way in which they know them. */
export const REMOTE_NAMES = { ipv4: 'onlyproxy.origin.test', ipv6: 'onlyproxy6.origin.test' } as const;

/** A user that only servers with {@link writeEtc} know. */
export interface SystemUser {
  readonly name: string;
  /** As crypt(3) has it. */
  readonly hashedPassword: string;
}

/** Writes what `privately()` puts into the place of the machine's own. */
export async function writeEtc(folder: string, user: SystemUser | null = null): Promise<void> {
  const etc = path.join(folder, 'etc');
  await mkdir(etc);
  const { ipv4, ipv6 } = REMOTE_NAMES;
  await writeFile(path.join(etc, 'hosts'), `127.0.0.1 localhost\n127.0.0.1 ${ipv4}\n::1 ${ipv6}\n`);
  if (user === null) return;
  for (const [name, line] of [
    ['passwd', `${user.name}:x:65500:65534::/nonexistent:/usr/sbin/nologin\n`],
    ['shadow', `${user.name}:${user.hashedPassword}:19000:0:99999:7:::\n`],
  ] as const) {
    const file = path.join(etc, name);
    await copyFile(`/etc/${name}`, file);
    await writeFile(file, line, { flag: 'a' });
  }
}

/** The arguments with which `bash` runs a program so. */
export function privately(folder: string, program: string, ...args: string[]): readonly string[] {
  const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'private-etc.sh');
  return [script, folder, findProgram(program) ?? program, ...args];
}

/** Why this machine cannot do that; undefined if it can. Containers without CAP_SYS_ADMIN cannot. */
export function obstacleToPrivateEtc(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const { status, error } = spawnSync('unshare', [
    '--mount',
    '--propagation',
    'private',
    'mount',
    '-t',
    'tmpfs',
    'tmpfs',
    '/run',
  ]);
  return status === 0 ? undefined : `no mount namespace here: ${error?.message ?? `unshare exits with ${status}`}`;
}
