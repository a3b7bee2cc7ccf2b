/**
 * Run by tls-system-store.test.ts where the system's authorities are others than usual: asks for a URL under each of the
 * options that come as JSON, and prints what came of it.
 */
import type { ConnectionPoolKw } from '../../src/connectionpool.js';
import { HTTPError } from '../../src/exceptions.js';
import { PoolManager } from '../../src/poolmanager.js';

const [url = '', json = '{}'] = process.argv.slice(2);
// What the test has written.
const cases = JSON.parse(json) as Record<string, ConnectionPoolKw>;
const outcomes: Record<string, unknown> = {};
for (const [name, options] of Object.entries(cases)) {
  await using http = new PoolManager({ retries: false, timeout: 10, ...options });
  outcomes[name] = await http.request('GET', url).then(
    ({ status }) => status,
    (error: unknown) => (error instanceof HTTPError ? (error.code ?? error.message) : String(error)),
  );
}
console.log(JSON.stringify(outcomes));
