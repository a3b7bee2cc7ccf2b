/** Three programs that are SOCKS proxies: dante (4 and 5, and a user's password), microsocks (5, and a password), ssh -D (4, 4A, 5). */
import { execFileSync } from 'node:child_process';
import { rename, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import { privately, writeEtc } from './private-etc.js';
import { findProgram } from './program.js';
import { type RunningServer, startServer } from './running.js';

export interface SocksProxy extends AsyncDisposable {
  readonly port: number;
  stop(): Promise<void>;
}

export const SOCKS_USER = { name: 'user', password: 'p:ss' } as const;

/** A port that dante's rules forbid. */
export const FORBIDDEN_PORT = 9;

/** @param method - `username` asks for {@link SOCKS_USER} */
export async function startDante(method: 'none' | 'username'): Promise<SocksProxy> {
  const server = await startServer({
    program: 'bash',
    portCount: 1,
    async prepare(folder, [port]) {
      const { name, password } = SOCKS_USER;
      const hashedPassword = execFileSync('openssl', ['passwd', '-6', password], { encoding: 'utf8' }).trim();
      await writeEtc(folder, { name, hashedPassword });
      await writeFile(path.join(folder, 'danted.conf'), danteConfiguration(folder, port ?? 0, method));
      return privately(folder, 'danted', '-f', path.join(folder, 'danted.conf'), '-p', path.join(folder, 'danted.pid'));
    },
  });
  return proxyAt(server);
}

/** @param isPrivate - whether it asks for {@link SOCKS_USER} */
export async function startMicrosocks(isPrivate: boolean): Promise<SocksProxy> {
  const server = await startServer({
    program: 'bash',
    portCount: 1,
    async prepare(folder, [port]) {
      await writeEtc(folder);
      const login = isPrivate ? ['-u', SOCKS_USER.name, '-P', SOCKS_USER.password] : [];
      return privately(folder, 'microsocks', '-i', '127.0.0.1', '-p', `${port}`, ...login);
    },
  });
  return proxyAt(server);
}

/** An sshd on loopback, and the `ssh -D` that is logged in there with a key which lives as long. */
export async function startSshDynamic(): Promise<SocksProxy> {
  const sshd = await startServer({
    program: 'bash',
    portCount: 1,
    async prepare(folder, [port]) {
      await writeEtc(folder);
      for (const name of ['host', 'client']) {
        const file = path.join(folder, name);
        execFileSync(findProgram('ssh-keygen') ?? 'ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
      }
      await rename(path.join(folder, 'client.pub'), path.join(folder, 'authorized'));
      await writeFile(path.join(folder, 'sshd.conf'), sshdConfiguration(folder, port ?? 0));
      return privately(folder, 'sshd', '-D', '-e', '-f', path.join(folder, 'sshd.conf'));
    },
  });
  try {
    const ssh = await startServer({
      program: 'ssh',
      portCount: 1,
      async prepare(folder, [port]) {
        const options = {
          IdentitiesOnly: 'yes',
          StrictHostKeyChecking: 'no',
          UserKnownHostsFile: path.join(folder, 'known'),
          ExitOnForwardFailure: 'yes',
        };
        const given = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
        const to = [
          '-p',
          `${sshd.ports[0]}`,
          '-i',
          path.join(sshd.folder, 'client'),
          `${userInfo().username}@127.0.0.1`,
        ];
        return ['-F', '/dev/null', '-N', '-D', `127.0.0.1:${port}`, ...given, ...to];
      },
    });
    return proxyAt(ssh, sshd);
  } catch (error) {
    await sshd.stop();
    throw error;
  }
}

function proxyAt(server: RunningServer, behind?: RunningServer): SocksProxy {
  const stop = async () => {
    await server.stop();
    await behind?.stop();
  };
  return { port: server.ports[0] ?? 0, stop, [Symbol.asyncDispose]: stop };
}

function danteConfiguration(folder: string, port: number, method: string): string {
  return `
logoutput: ${folder}/danted.log
internal: 127.0.0.1 port = ${port}
external: 127.0.0.1
external: ::1
external.rotation: route
user.privileged: root
user.unprivileged: nobody
clientmethod: none
socksmethod: ${method}
timeout.negotiate: 10
client pass { from: 127.0.0.0/8 to: 0/0 }
socks block { from: 0/0 to: 0/0 port = ${FORBIDDEN_PORT} }
socks pass { from: 127.0.0.0/8 to: 0/0 protocol: tcp }
socks pass { from: 127.0.0.0/8 to: ::/0 protocol: tcp }
`;
}

function sshdConfiguration(folder: string, port: number): string {
  return `
Port ${port}
ListenAddress 127.0.0.1
HostKey ${folder}/host
AuthorizedKeysFile ${folder}/authorized
StrictModes no
UsePAM no
PasswordAuthentication no
PidFile none
PermitRootLogin yes
`;
}
