/** tinyproxy: it consents to tunnels in HTTP/1.0, and closes each connection behind its answer without saying so before. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type RunningServer, startServer } from './running.js';

export interface Tinyproxy extends RunningServer {
  readonly port: number;
}

export const TINYPROXY_USER = 'user:pass';

/** @param restrictions - `private` wants {@link TINYPROXY_USER}; a number is the only port that tunnels may lead to */
export async function startTinyproxy(restrictions: 'open' | 'private' | number): Promise<Tinyproxy> {
  const server = await startServer({
    program: 'tinyproxy',
    portCount: 1,
    async prepare(folder, [port]) {
      const restriction =
        restrictions === 'private'
          ? `BasicAuth ${TINYPROXY_USER.replace(':', ' ')}`
          : restrictions === 'open'
            ? ''
            : `ConnectPort ${restrictions}`;
      await writeFile(
        path.join(folder, 'tinyproxy.conf'),
        `
Port ${port}
Listen 127.0.0.1
Timeout 30
MaxClients 100
LogLevel Error
ViaProxyName "tinyproxy"
Allow 127.0.0.1
${restriction}
`,
      );
      return ['-d', '-c', path.join(folder, 'tinyproxy.conf')];
    },
  });
  return { ...server, port: server.ports[0] ?? 0 };
}
