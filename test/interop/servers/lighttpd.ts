/** lighttpd: every content coding there is, and a limit of requests for each connection. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { writeDocuments } from './documents.js';
import { type RunningServer, startServer } from './running.js';

/** Codings that lighttpd compresses text with. */
export const LIGHTTPD_CODINGS = ['gzip', 'deflate', 'br', 'zstd'] as const;

export async function startLighttpd(): Promise<RunningServer> {
  return await startServer({
    program: 'lighttpd',
    portCount: 1,
    async prepare(folder, [port]) {
      const root = await writeDocuments(folder);
      await writeFile(
        path.join(folder, 'lighttpd.conf'),
        `
server.modules = ("mod_deflate", "mod_redirect")
server.document-root = "${root}"
server.bind = "127.0.0.1"
server.port = ${port}
server.errorlog = "${folder}/error.log"
server.max-keep-alive-requests = 10
server.max-keep-alive-idle = 2
server.feature-flags = ("server.h2proto" => "disable")
mimetype.assign = (".txt" => "text/plain", "" => "application/octet-stream")
deflate.mimetypes = ("text/")
deflate.allowed-encodings = (${LIGHTTPD_CODINGS.map((coding) => `"${coding}"`).join(', ')})
url.redirect = ("^/away$" => "/hello.txt")
`,
      );
      return ['-D', '-f', path.join(folder, 'lighttpd.conf')];
    },
  });
}
