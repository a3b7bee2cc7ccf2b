/** Servers that ask for a login: nginx by Basic, which is all that it has, and lighttpd by Digest with SHA-256 and with MD5. */
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type RunningServer, startServer } from './running.js';

export const USER = 'user';
/** Beyond ASCII, and with what would end a quoted string. */
export const PASSWORD = 'pä"ss\\wörd€';

export function startBasicNginx(): Promise<RunningServer> {
  return startServer({
    program: 'nginx',
    portCount: 1,
    async prepare(folder, [port]) {
      const file = (name: string) => path.join(folder, name);
      await mkdir(file('www'));
      await writeFile(file('www/hello.txt'), 'hello\n');
      const digest = createHash('sha1').update(PASSWORD).digest('base64');
      await writeFile(file('passwords'), `${USER}:{SHA}${digest}\n`);
      await writeFile(
        file('nginx.conf'),
        `
daemon off;
pid ${folder}/nginx.pid;
worker_processes 1;
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path ${folder}/bodies; proxy_temp_path ${folder}/bodies; fastcgi_temp_path ${folder}/bodies;
  uwsgi_temp_path ${folder}/bodies; scgi_temp_path ${folder}/bodies;
  server {
    listen 127.0.0.1:${port};
    root ${folder}/www;
    auth_basic "nginx realm";
    auth_basic_user_file ${folder}/passwords;
    add_header X-User $remote_user;
    location = /away { auth_basic off; return 302 http://localhost:${port}/hello.txt; }
    location = /here { return 302 /hello.txt; }
  }
}
`,
      );
      return ['-p', folder, '-c', file('nginx.conf'), '-e', file('error.log')];
    },
  });
}

export function startDigestLighttpd(): Promise<RunningServer> {
  return startServer({
    program: 'lighttpd',
    portCount: 1,
    async prepare(folder, [port]) {
      const file = (name: string) => path.join(folder, name);
      await mkdir(file('www/sha-256'), { recursive: true });
      await mkdir(file('www/md5'));
      for (const name of ['www/sha-256/hello.txt', 'www/md5/hello.txt']) await writeFile(file(name), 'hello\n');
      for (const [name, algorithm] of [
        ['md5', 'MD5'],
        ['sha-256', 'SHA-256'],
      ] as const) {
        const secret = createHash(algorithm === 'MD5' ? 'md5' : 'sha256').update(
          `${USER}:${realmOf(name)}:${PASSWORD}`,
        );
        await writeFile(file(`${name}.users`), `${USER}:${realmOf(name)}:${secret.digest('hex')}\n`);
      }
      const block = (name: string, algorithm: string) => `
$HTTP["url"] =~ "^/${name}/" {
  auth.backend.htdigest.userfile = "${folder}/${name}.users"
  auth.require = ("/" => ("method" => "digest", "algorithm" => "${algorithm}", "realm" => "${realmOf(name)}", "require" => "valid-user"))
}`;
      await writeFile(
        file('lighttpd.conf'),
        `
server.document-root = "${folder}/www"
server.port = ${port}
server.bind = "127.0.0.1"
server.errorlog = "${folder}/error.log"
server.modules = ("mod_auth", "mod_authn_file")
mimetype.assign = (".txt" => "text/plain")
auth.backend = "htdigest"
${block('sha-256', 'SHA-256')}
${block('md5', 'MD5')}
`,
      );
      return ['-D', '-f', file('lighttpd.conf')];
    },
  });
}

function realmOf(name: string): string {
  return `${name} realm`;
}
