/**
 * nginx as the file server, where it is installed: it costs far less per request than a Node server, so that on a small
 * machine more of the processor is left to the client.
 *
 * One worker, no access log, connections kept without limit; its own configuration, files and port numbers in a folder
 * that the caller gives and removes.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { WARM_UP_BYTES } from '../scenarios.js';
import type { Certificate, Certificates } from './certificate.js';
import { contents } from './contents.js';
import type { Doors, FileDoor } from './doors.js';
import { freePorts, untilListening } from './ports.js';

export interface NginxProgram {
  readonly path: string;
  readonly version: string;
}

export interface NginxServer {
  readonly doors: Pick<Doors, FileDoor>;
  stop(): Promise<void>;
}

interface Ports {
  readonly http: number;
  readonly https: number;
  readonly rsa: number;
  readonly unresumable: number;
}

/** Debian puts it where a user's PATH does not look. */
const PLACES = ['nginx', '/usr/sbin/nginx', '/usr/local/sbin/nginx', '/opt/homebrew/bin/nginx'];

/** nginx with the modules that are used here, or `null` where there is none. */
export function findNginx(): NginxProgram | null {
  for (const path of PLACES) {
    const { status, stderr } = spawnSync(path, ['-V'], { encoding: 'utf8' });
    if (status !== 0 || !stderr.includes('http_ssl_module') || !stderr.includes('http_gzip_static_module')) continue;
    return { path, version: /nginx\/(\S+)/.exec(stderr)?.[1] ?? 'unknown' };
  }
  return null;
}

export async function startNginx(
  program: NginxProgram,
  folder: string,
  certificates: Certificates,
  largeBytes: number,
): Promise<NginxServer> {
  writeFiles(folder, largeBytes);
  for (const [name, certificate] of Object.entries(certificates)) writeCertificate(folder, name, certificate);
  const [http = 0, https = 0, rsa = 0, unresumable = 0] = await freePorts(4);
  const ports = { http, https, rsa, unresumable };
  writeFileSync(join(folder, 'nginx.conf'), configuration(ports));
  const child = spawn(program.path, ['-p', `${folder}/`, '-c', 'nginx.conf', '-e', 'error.log'], { stdio: 'ignore' });
  await untilListening(child, Object.values(ports), join(folder, 'error.log'));
  return {
    doors: {
      http: `http://127.0.0.1:${http}`,
      https: `https://127.0.0.1:${https}`,
      'https-rsa': `https://127.0.0.1:${rsa}`,
      'https-unresumable': `https://127.0.0.1:${unresumable}`,
    },
    async stop() {
      const ended = once(child, 'exit');
      if (child.exitCode === null && child.kill('SIGTERM')) await ended;
    },
  };
}

function writeFiles(folder: string, largeBytes: number): void {
  const html = join(folder, 'html');
  mkdirSync(html);
  const { small, medium, list, listGzip } = contents();
  const files = { 'small.json': small, 'medium.bin': medium, 'list.json': list, 'list.json.gz': listGzip };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(html, name), content);
  // Holes: they cost no disk, and reading them costs what reading the page cache costs.
  for (const [name, sizeBytes] of [
    ['warm-up.bin', WARM_UP_BYTES],
    ['large.bin', largeBytes],
  ] as const) {
    writeFileSync(join(html, name), '');
    truncateSync(join(html, name), sizeBytes);
  }
}

function writeCertificate(folder: string, name: string, { key, cert }: Certificate): void {
  writeFileSync(join(folder, `${name}.key`), key, { mode: 0o600 });
  writeFileSync(join(folder, `${name}.pem`), cert);
}

function configuration({ http, https, rsa, unresumable }: Ports): string {
  // Started by root, the worker would become "nobody", who may not enter the folder.
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((of) => `${of}_temp_path tmp_${of};`);
  const files = `
    root html;
    gzip_static on;
    location /fresh/ { alias html/; keepalive_timeout 0; }`;
  const tls = (name: keyof Certificates) => `ssl_certificate ${name}.pem; ssl_certificate_key ${name}.key;`;
  const resumable = 'ssl_session_cache shared:bench:4m;';
  return `
${user}
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log crit;
events { worker_connections 8192; }
http {
  access_log off;
  ${temporary.join(' ')}
  default_type application/octet-stream;
  types { application/json json; }
  sendfile on;
  tcp_nodelay on;
  keepalive_timeout 300s;
  keepalive_requests 1000000000;
  open_file_cache max=100 inactive=600s;
  open_file_cache_valid 600s;
  server { listen 127.0.0.1:${http} backlog=4096; ${files}
  }
  server { listen 127.0.0.1:${https} ssl backlog=4096; ${tls('ec')} ${resumable} ${files}
  }
  server { listen 127.0.0.1:${rsa} ssl backlog=4096; ${tls('rsa')} ${resumable} ${files}
  }
  server { listen 127.0.0.1:${unresumable} ssl backlog=4096; ${tls('ec')} ssl_session_cache off; ssl_session_tickets off; ${files}
  }
}
`;
}
