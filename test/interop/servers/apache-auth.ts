/** Apache httpd that asks for a login: basic, digest, and NTLM by mod_auth_gssapi and gss-ntlmssp, with and without TLS. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type TestAuthority, testAuthority } from './authority.js';
import { findProgram } from './program.js';
import { linesOf, type RunningServer, startServer } from './running.js';

/** One request as httpd saw it. */
export interface LoginRequest {
  /** The client's port: one for each connection. */
  readonly clientPort: number;
  readonly request: string;
  readonly status: number;
  /** Who made it; '-' for nobody. */
  readonly user: string;
  /** How: `NTLM`, `Digest`; '-' for a request that does not say. */
  readonly scheme: string;
}

export interface AuthApache extends RunningServer {
  readonly plain: string;
  readonly secure: string;
  /** As plain, but each connection serves three requests. */
  readonly stingy: string;
  readonly authority: TestAuthority;
  requests(marker: string, count: number): Promise<readonly LoginRequest[]>;
  errors(): Promise<string>;
}

const MODULES = [
  'mpm_event',
  'authn_core',
  'authn_file',
  'authz_core',
  'authz_user',
  'auth_basic',
  'auth_digest',
  'auth_gssapi',
  'alias',
  'headers',
  'mime',
  'setenvif',
  'socache_shmcb',
  'ssl',
];

/** Where {@link startAuthApache} finds what NTLM needs of Debian's packages. */
export const GSSAPI_MODULE = '/usr/lib/apache2/modules/mod_auth_gssapi.so';

export const USER = 'user';
export const PASSWORD = 'pass';
/** No letter of the password is ASCII; its user is `uni`. */
export const FOREIGN_PASSWORD = 'pässwörd€';

export async function startAuthApache(): Promise<AuthApache> {
  const authority = await testAuthority();
  const server = await startServer({
    // What gss-ntlmssp knows of its users it takes from the environment.
    program: 'env',
    portCount: 3,
    async prepare(folder, ports) {
      const file = (name: string) => path.join(folder, name);
      await writeFile(file('basic'), `${USER}:{SHA}${createHash('sha1').update(PASSWORD).digest('base64')}\n`);
      const secret = createHash('md5').update(`${USER}:digest realm:${PASSWORD}`).digest('hex');
      await writeFile(file('digest'), `${USER}:digest realm:${secret}\n`);
      await writeFile(file('ntlm'), `INTEROP:${USER}:${PASSWORD}\nINTEROP:uni:${FOREIGN_PASSWORD}\n`);
      await writeFile(file('hello.txt'), 'hello\n');
      await writeFile(file('mime.types'), 'text/plain txt\n');
      await writeFile(file('server.pem'), authority.certificate);
      await writeFile(file('server.key'), authority.key);
      await writeFile(file('httpd.conf'), configuration(folder, ports));
      const apache = findProgram('apache2');
      if (apache === undefined) throw new Error('Cannot run apache2: it is not installed');
      const names = ['NETBIOS_DOMAIN_NAME=INTEROP', 'NETBIOS_COMPUTER_NAME=WEB1'];
      return [
        `NTLM_USER_FILE=${file('ntlm')}`,
        ...names,
        apache,
        '-d',
        folder,
        '-f',
        file('httpd.conf'),
        '-D',
        'FOREGROUND',
      ];
    },
  });
  return {
    ...server,
    plain: server.origin(0),
    secure: `https://localhost:${server.ports[1]}`,
    stingy: server.origin(2),
    authority,
    async requests(marker, count) {
      const lines = await linesOf(path.join(server.folder, 'access.log'), marker, count);
      // The log format below writes exactly these fields.
      return lines.map((line) => JSON.parse(line) as LoginRequest);
    },
    errors: () => readFile(path.join(server.folder, 'error.log'), 'utf8'),
  };
}

/**
 * curl and gss-ntlmssp 1.2 do not understand each other as they are: the one's first message has 32 bytes where the other wants
 * 40, and echoes a flag (NEGOTIATE_VERSION) whose field it does not send. So curl's first message, always the same, gets 8
 * bytes more, and loses the flag that brings the other in. Messages of other clients pass as they are.
 */
const CURLS_NEGOTIATE = 'TlRMTVNTUAABAAAABoIIAAAAAAAAAAAAAAAAAAAAAAA=';
const PADDED_NEGOTIATE = 'TlRMTVNTUAABAAAABgIIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==';

function configuration(folder: string, [plain, secure, stingy]: readonly number[]): string {
  return `
ServerRoot "${folder}"
PidFile "${folder}/httpd.pid"
DefaultRuntimeDir "${folder}"
Mutex file:${folder} default
ServerName localhost
ErrorLog "${folder}/error.log"
LogLevel info
${MODULES.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n')}
${process.getuid?.() === 0 ? 'User www-data\nGroup www-data' : ''}
StartServers 1
ServerLimit 2
ThreadsPerChild 64
ThreadLimit 64
MaxRequestWorkers 128
TypesConfig "${folder}/mime.types"
SetEnvIf Authorization "^([A-Za-z]+)" SCHEME=$1
LogFormat "{\\"clientPort\\":%{remote}p,\\"request\\":\\"%r\\",\\"status\\":%>s,\\"user\\":\\"%u\\",\\"scheme\\":\\"%{SCHEME}e\\"}" request
CustomLog "${folder}/access.log" request
KeepAlive On
KeepAliveTimeout 5
MaxKeepAliveRequests 0
SSLSessionCache "shmcb:${folder}/sessions(512000)"
<Directory "${folder}">
  Require all denied
</Directory>
<Files "hello.txt">
  Require all granted
</Files>
Header always set X-User "expr=%{REMOTE_USER}"
RequestHeader edit Authorization "^NTLM ${CURLS_NEGOTIATE}$" "NTLM ${PADDED_NEGOTIATE}" early
Alias /open "${folder}"
Alias /basic "${folder}"
Alias /digest "${folder}"
Alias /ntlm "${folder}"
<Location "/basic">
  AuthType Basic
  AuthName "basic realm"
  AuthUserFile "${folder}/basic"
  Require valid-user
</Location>
<Location "/digest">
  AuthType Digest
  AuthName "digest realm"
  AuthDigestProvider file
  AuthUserFile "${folder}/digest"
  AuthDigestQop auth
  Require valid-user
</Location>
<Location "/ntlm">
  AuthType GSSAPI
  AuthName "ntlm realm"
  GssapiAllowedMech ntlmssp
  GssapiConnectionBound On
  GssapiSignalPersistentAuth On
  Require valid-user
</Location>
Listen 127.0.0.1:${plain}
Listen 127.0.0.1:${secure}
Listen 127.0.0.1:${stingy}
<VirtualHost 127.0.0.1:${plain}>
</VirtualHost>
<VirtualHost 127.0.0.1:${secure}>
  SSLEngine on
  SSLCertificateFile "${folder}/server.pem"
  SSLCertificateKeyFile "${folder}/server.key"
</VirtualHost>
<VirtualHost 127.0.0.1:${stingy}>
  MaxKeepAliveRequests 3
</VirtualHost>
`;
}
