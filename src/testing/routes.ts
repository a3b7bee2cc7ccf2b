/** The whole table of endpoints, and the index page at `/` that lists it. */
import { AUTH_ROUTES } from './auth-routes.js';
import { BYTES_ROUTES } from './bytes-routes.js';
import { CACHE_ROUTES } from './cache-routes.js';
import { COOKIE_ROUTES } from './cookie-routes.js';
import { digestRoutes } from './digest-routes.js';
import { ECHO_ROUTES } from './echo-routes.js';
import { FORMAT_ROUTES } from './format-routes.js';
import { escapeHtml } from './html.js';
import { IMAGE_ROUTES } from './image-routes.js';
import { REDIRECT_ROUTES } from './redirect-routes.js';
import { GET, type Route } from './router.js';
import { STATUS_ROUTES } from './status-routes.js';
import { TIME_ROUTES } from './time-routes.js';

/** The table for one server. */
export function httpbinRoutes(): readonly Route[] {
  const routes: Route[] = [
    { path: '/', methods: GET, summary: 'This list', handler: (exchange) => exchange.send({}, page) },
    ...ECHO_ROUTES,
    ...STATUS_ROUTES,
    ...REDIRECT_ROUTES,
    ...AUTH_ROUTES,
    ...digestRoutes(),
    ...COOKIE_ROUTES,
    ...CACHE_ROUTES,
    ...TIME_ROUTES,
    ...BYTES_ROUTES,
    ...FORMAT_ROUTES,
    ...IMAGE_ROUTES,
  ];
  const page = indexPage(routes);
  return routes;
}

function indexPage(routes: readonly Route[]): string {
  const rows = routes.map(
    ({ path, methods, summary }) =>
      `<tr><td>${methods.join(' ')}</td><td><code>${escapeHtml(path)}</code></td><td>${escapeHtml(summary)}</td></tr>`,
  );
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>httpbin of urllib3</title></head>
<body>
<h1>httpbin of urllib3</h1>
<table>
${rows.join('\n')}
</table>
</body>
</html>
`;
}
