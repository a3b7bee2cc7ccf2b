/** haproxy without a backend: it hurries, closes, and through a few lines of Lua says whatever no honest server says. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type RunningServer, startServer } from './running.js';

export interface Haproxy extends RunningServer {
  /** Closes a connection after 300 ms of idleness; answers with the client's port, so that connections can be counted. */
  readonly impatient: string;
  /** Refuses by haproxy's own means: /reject, /silent, /tarpit, /deny; anything else is answered. */
  readonly refusing: string;
  /** Answers the paths of {@link FAULTS} with exactly their bytes, and closes. */
  readonly faulty: string;
}

/** What the faulty port sends, by path; nothing is added, and the connection is closed behind it. */
export const FAULTS = {
  '/empty': '',
  '/garbage': 'this is no HTTP\r\n\r\n',
  '/half-a-head': 'HTTP/1.1 200 OK\r\nContent-Le',
  '/short': 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc',
  '/short-chunk': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nabc',
  '/no-last-chunk': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n',
  '/two-lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 5\r\n\r\nabcde',
  '/excess': 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc and more',
  '/second-response':
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison',
  '/until-close': 'HTTP/1.0 200 OK\r\n\r\nabc',
  '/interim': 'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc',
  '/early': 'HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc',
} as const satisfies Record<string, string>;

export async function startHaproxy(): Promise<Haproxy> {
  const server = await startServer({
    program: 'haproxy',
    portCount: 3,
    async prepare(folder, ports) {
      await writeFile(path.join(folder, 'faults.lua'), lua());
      await writeFile(path.join(folder, 'haproxy.cfg'), configuration(folder, ports));
      return ['-db', '-f', path.join(folder, 'haproxy.cfg')];
    },
  });
  return { ...server, impatient: server.origin(0), refusing: server.origin(1), faulty: server.origin(2) };
}

/** The request's head is read, so that the path is known; a body is left unread. */
function lua(): string {
  const entries = Object.entries(FAULTS).map(([name, bytes]) => `  ["${name}"] = ${JSON.stringify(bytes)},`);
  return `local answers = {
${entries.join('\n')}
}
core.register_service("faults", "tcp", function(applet)
  local path = string.match(applet:getline(), "^%S+ (%S+)")
  local line
  repeat line = applet:getline() until line == "\\r\\n" or line == ""
  local answer = answers[path] or ""
  if answer ~= "" then applet:send(answer) end
end)
`;
}

function configuration(folder: string, [impatient, refusing, faulty]: readonly number[]): string {
  return `
global
  maxconn 2000
  lua-load ${folder}/faults.lua
defaults
  mode http
  timeout connect 2s
  timeout client 20s
  timeout server 20s
  timeout http-keep-alive 20s
frontend impatient
  bind 127.0.0.1:${impatient}
  timeout http-keep-alive 300ms
  http-request return status 200 content-type text/plain lf-string "%cp"
frontend refusing
  bind 127.0.0.1:${refusing}
  timeout tarpit 500ms
  http-request reject if { path /reject }
  http-request silent-drop if { path /silent }
  http-request tarpit deny_status 500 if { path /tarpit }
  http-request deny deny_status 403 if { path /deny }
  http-request return status 200 content-type text/plain lf-string "%cp"
frontend faulty
  mode tcp
  bind 127.0.0.1:${faulty}
  tcp-request inspect-delay 5s
  tcp-request content use-service lua.faults if { req.len gt 0 }
`;
}
