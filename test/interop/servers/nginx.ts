/** nginx: an HTTP/1.1 server that most of the web runs on, with limits of keep-alive, faults and TLS. */
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { type TestAuthority, testAuthority } from './authority.js';
import { writeDocuments } from './documents.js';
import { linesOf, type RunningServer, startServer } from './running.js';

/** One request as nginx saw it. */
export interface LoggedRequest {
  readonly connection: number;
  /** 1 for the first request of its connection. */
  readonly nth: number;
  readonly method: string;
  readonly uri: string;
  readonly status: number;
  /** '' if the request brought none. */
  readonly authorization: string;
}

export interface Nginx extends RunningServer {
  /** Everything, keep-alive without a limit that matters. */
  readonly main: string;
  /** The same over IPv6; null on a machine without it. */
  readonly mainIpv6: string | null;
  /** Three requests a connection, and a second of idleness. */
  readonly stingy: string;
  /** Every response ends its connection. */
  readonly closing: string;
  readonly https: string;
  readonly authority: TestAuthority;
  /** Requests whose URI holds `marker`, once there are `count` of them. */
  requests(marker: string, count: number): Promise<readonly LoggedRequest[]>;
}

const ECHO_MODULE = '/usr/lib/nginx/modules/ngx_http_echo_module.so';

/** Whether nginx can send a request's own body back: by a module that `nginx-light` brings. */
export const nginxHasEcho = existsSync(ECHO_MODULE);

const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
);

export async function startNginx(): Promise<Nginx> {
  const authority = await testAuthority();
  const server = await startServer({
    program: 'nginx',
    portCount: 4,
    async prepare(folder, ports) {
      const root = await writeDocuments(folder);
      await mkdir(path.join(root, 'up'));
      await mkdir(path.join(folder, 'bodies'));
      await writeFile(path.join(folder, 'server.pem'), authority.certificate);
      await writeFile(path.join(folder, 'server.key'), authority.key);
      await writeFile(path.join(folder, 'nginx.conf'), configuration(folder, ports));
      return ['-p', folder, '-c', path.join(folder, 'nginx.conf'), '-e', path.join(folder, 'error.log')];
    },
  });
  const [main, stingy, closing, https] = server.ports;
  return {
    ...server,
    main: `http://127.0.0.1:${main}`,
    mainIpv6: hasIpv6 ? `http://[::1]:${main}` : null,
    stingy: `http://127.0.0.1:${stingy}`,
    closing: `http://127.0.0.1:${closing}`,
    https: `https://127.0.0.1:${https}`,
    authority,
    async requests(marker, count) {
      const lines = await linesOf(path.join(server.folder, 'access.log'), marker, count);
      // The log format below writes exactly these fields.
      return lines.map((line) => JSON.parse(line) as LoggedRequest);
    },
  };
}

function configuration(folder: string, [main, stingy, closing, https]: readonly number[]): string {
  return `
daemon off;
pid ${folder}/nginx.pid;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
${nginxHasEcho ? `load_module ${ECHO_MODULE};` : ''}
events { worker_connections 1024; }
http {
  types { text/plain txt; application/json json; }
  default_type application/octet-stream;
  log_format request escape=json
    '{"connection":$connection,"nth":$connection_requests,"method":"$request_method","uri":"$request_uri","status":$status,"authorization":"$http_authorization"}';
  access_log ${folder}/access.log request;
  client_body_temp_path ${folder}/bodies; proxy_temp_path ${folder}/bodies; fastcgi_temp_path ${folder}/bodies;
  uwsgi_temp_path ${folder}/bodies; scgi_temp_path ${folder}/bodies;
  gzip on; gzip_min_length 20; gzip_types text/plain application/json; gzip_vary on;
  root ${folder}/www;
  keepalive_requests 10000;

  server {
    listen 127.0.0.1:${main};
    ${hasIpv6 ? `listen [::1]:${main};` : ''}
    client_max_body_size 64m;
    location = /echo {
      default_type application/json;
      return 200 '{"method":"$request_method","uri":"$request_uri","host":"$http_host","accept":"$http_accept_encoding","length":"$http_content_length","coding":"$http_transfer_encoding","type":"$http_content_type","agent":"$http_user_agent","auth":"$http_authorization"}';
    }
    ${nginxHasEcho ? 'location = /body { client_body_buffer_size 4m; echo_read_request_body; echo_request_body; }' : ''}
    location = /301      { return 301 /echo?from=301; }
    location = /302      { return 302 /echo?from=302; }
    location = /303      { return 303 /echo?from=303; }
    location = /307      { return 307 /echo?from=307; }
    location = /308      { return 308 /echo?from=308; }
    location = /elsewhere { return 302 http://127.0.0.1:${stingy}/hello.txt$is_args$args; }
    location = /loop     { return 302 /loop; }
    location = /204      { return 204; }
    location = /304      { return 304; }
    location = /503      { add_header Retry-After 1 always; return 503 "busy\\n"; }
    location = /drop     { return 444; }
    location = /slow.bin { limit_rate 32k; alias ${folder}/www/random.bin; }
    location = /small    { client_max_body_size 1k; proxy_pass http://127.0.0.1:${main}/echo; }
    location = /abrupt   { client_max_body_size 1k; lingering_close off; proxy_pass http://127.0.0.1:${main}/echo; }
    location = /502      { proxy_pass http://127.0.0.1:1/; }
    location = /status   { stub_status; access_log off; }
    location /up/        { dav_methods PUT DELETE; create_full_put_path on; }
  }
  server {
    listen 127.0.0.1:${stingy};
    keepalive_requests 3; keepalive_timeout 1s;
    location = /echo { default_type application/json; return 200 '{"method":"$request_method"}'; }
  }
  server {
    listen 127.0.0.1:${closing};
    keepalive_timeout 0;
    location = /echo { default_type application/json; return 200 '{"method":"$request_method"}'; }
  }
  server {
    listen 127.0.0.1:${https} ssl;
    ssl_certificate ${folder}/server.pem; ssl_certificate_key ${folder}/server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    location = /tls { return 200 "$ssl_protocol $ssl_server_name"; }
    location = /echo { default_type application/json; return 200 '{"method":"$request_method"}'; }
  }
}
`;
}
