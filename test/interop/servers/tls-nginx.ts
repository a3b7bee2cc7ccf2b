/** nginx that verifies its clients: with a certificate demanded, asked for, and each in one version of TLS. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Certificate } from '../../support/tls-certificates.js';
import { type RunningServer, startServer } from './running.js';

export interface VerifyingNginx extends RunningServer {
  /** Whoever has no certificate of the authority gets a 400. */
  readonly demanding: Readonly<Record<'TLSv1.2' | 'TLSv1.3', string>>;
  /** Whoever has none is served all the same. */
  readonly asking: string;
}

/**
 * @param certificate - what it shows
 * @param root - PEM: whose clients it knows
 */
export async function startVerifyingNginx(certificate: Certificate, root: string): Promise<VerifyingNginx> {
  const server = await startServer({
    program: 'nginx',
    portCount: 3,
    async prepare(folder, ports) {
      await writeFile(path.join(folder, 'server.pem'), certificate.chain);
      await writeFile(path.join(folder, 'server.key'), certificate.key);
      await writeFile(path.join(folder, 'clients.pem'), root);
      await writeFile(path.join(folder, 'nginx.conf'), configuration(folder, ports));
      return ['-p', folder, '-c', path.join(folder, 'nginx.conf'), '-e', path.join(folder, 'error.log')];
    },
  });
  const [tls12, tls13, asking] = server.ports.map((port) => `https://127.0.0.1:${port}`);
  if (tls12 === undefined || tls13 === undefined || asking === undefined) throw new Error('nginx has three ports');
  return { ...server, demanding: { 'TLSv1.2': tls12, 'TLSv1.3': tls13 }, asking };
}

function configuration(folder: string, [tls12, tls13, asking]: readonly number[]): string {
  return `
daemon off;
pid ${folder}/nginx.pid;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${folder}/bodies; proxy_temp_path ${folder}/bodies; fastcgi_temp_path ${folder}/bodies;
  uwsgi_temp_path ${folder}/bodies; scgi_temp_path ${folder}/bodies;
  ssl_certificate ${folder}/server.pem; ssl_certificate_key ${folder}/server.key;
  ssl_client_certificate ${folder}/clients.pem; ssl_verify_depth 2;
  ssl_session_cache shared:sessions:1m;
  default_type text/plain;
  server {
    listen 127.0.0.1:${tls12} ssl; ssl_protocols TLSv1.2; ssl_verify_client on;
    location / { return 200 "$ssl_client_verify $ssl_client_s_dn $ssl_protocol $ssl_session_reused"; }
  }
  server {
    listen 127.0.0.1:${tls13} ssl; ssl_protocols TLSv1.3; ssl_verify_client on;
    location / { return 200 "$ssl_client_verify $ssl_client_s_dn $ssl_protocol $ssl_session_reused"; }
  }
  server {
    listen 127.0.0.1:${asking} ssl; ssl_verify_client optional;
    location / { return 200 "$ssl_client_verify $ssl_client_s_dn"; }
  }
}
`;
}
