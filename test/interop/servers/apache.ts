/** Apache httpd: announces its keep-alive, compresses into chunks, asks for passwords. */
import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { writeDocuments } from './documents.js';
import { linesOf, type RunningServer, startServer } from './running.js';

/** One request as httpd saw it. */
export interface ApacheRequest {
  /** The client's port: one for each connection. */
  readonly clientPort: number;
  /** 0 for the first request of its connection. */
  readonly nth: number;
  readonly request: string;
  readonly status: number;
}

export interface Apache extends RunningServer {
  /** `Keep-Alive: timeout=5, max=100`. */
  readonly main: string;
  /** `Keep-Alive: timeout=1`, without a limit of requests. */
  readonly brief: string;
  requests(marker: string, count: number): Promise<readonly ApacheRequest[]>;
}

const MODULES = [
  'mpm_event',
  'authn_core',
  'authn_file',
  'authz_core',
  'authz_user',
  'auth_basic',
  'alias',
  'mime',
  'filter',
  'deflate',
  'brotli',
];

/** The user and password that /private asks for. */
export const APACHE_CREDENTIALS = 'user:pässwörd';

export async function startApache(): Promise<Apache> {
  const server = await startServer({
    program: 'apache2',
    portCount: 2,
    async prepare(folder, ports) {
      await writeDocuments(folder);
      const [user = '', password = ''] = APACHE_CREDENTIALS.split(':');
      const digest = createHash('sha1').update(password).digest('base64');
      await writeFile(path.join(folder, 'passwords'), `${user}:{SHA}${digest}\n`);
      await writeFile(path.join(folder, 'mime.types'), 'text/plain txt\n');
      await writeFile(path.join(folder, 'httpd.conf'), configuration(folder, ports));
      return ['-d', folder, '-f', path.join(folder, 'httpd.conf'), '-D', 'FOREGROUND'];
    },
  });
  return {
    ...server,
    main: server.origin(0),
    brief: server.origin(1),
    async requests(marker, count) {
      const lines = await linesOf(path.join(server.folder, 'access.log'), marker, count);
      // The log format below writes exactly these fields.
      return lines.map((line) => JSON.parse(line) as ApacheRequest);
    },
  };
}

function configuration(folder: string, [main, brief]: readonly number[]): string {
  return `
ServerRoot "${folder}"
PidFile "${folder}/httpd.pid"
DefaultRuntimeDir "${folder}"
Mutex file:${folder} default
ServerName localhost
ErrorLog "${folder}/error.log"
${MODULES.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
${process.getuid?.() === 0 ? 'User www-data\nGroup www-data' : ''}
StartServers 1
ServerLimit 2
ThreadsPerChild 25
MaxRequestWorkers 50
TypesConfig "${folder}/mime.types"
LogFormat "{\\"clientPort\\":%{remote}p,\\"nth\\":%k,\\"request\\":\\"%r\\",\\"status\\":%>s}" request
CustomLog "${folder}/access.log" request
KeepAlive On
DocumentRoot "${folder}/www"
<Directory "${folder}/www">
  Require all granted
</Directory>
AddOutputFilterByType DEFLATE text/plain
Alias /brotli "${folder}/www"
<Location /brotli>
  SetOutputFilter BROTLI_COMPRESS
</Location>
Alias /private "${folder}/www"
<Location /private>
  AuthType Basic
  AuthName "private"
  AuthUserFile "${folder}/passwords"
  Require valid-user
</Location>
Redirect 307 /307 /hello.txt
Listen 127.0.0.1:${main}
Listen 127.0.0.1:${brief}
<VirtualHost 127.0.0.1:${main}>
  KeepAliveTimeout 5
  MaxKeepAliveRequests 100
</VirtualHost>
<VirtualHost 127.0.0.1:${brief}>
  KeepAliveTimeout 1
  MaxKeepAliveRequests 0
</VirtualHost>
`;
}
