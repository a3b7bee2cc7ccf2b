/**
 * FetchManager in a browser: a page, bundled as docs/edge-runtimes.md says, runs the behaviour suite in headless Chromium against the
 * embedded httpbin and the scenario server, and posts what came of it.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, test } from 'vitest';
import { startHttpbin } from '../../src/testing/index.js';
import { BROWSER_BEHAVIOURS } from '../behaviour/browser-behaviour.js';
import type { PageJob, PageReport } from '../behaviour/browser-page.js';
import { type Ability, BEHAVIOURS } from '../behaviour/manager-behaviour.js';
import { type Extra, startScenarios } from '../behaviour/scenario-server.js';
import { ROOT } from '../support/docs-blocks.js';
import { describeWith, findProgram } from './servers/program.js';

/** What a page in Chromium cannot do, and why. */
const LACKING: Readonly<Record<Ability, string>> = {
  redirects: 'browsers hide redirects from scripts',
  'all-fields': 'browsers keep Cookie, Accept-Encoding and others from scripts',
  causes: 'browsers do not tell scripts what went wrong',
  streams: 'Chromium sends streams over HTTP/2 only',
  'one-attempt': 'Chromium repeats requests of broken connections itself',
};

/** A closed profile, and nothing that would ask the network on its own. */
const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-default-apps',
  '--disable-extensions',
  '--disable-dev-shm-usage',
  '--no-proxy-server',
];

const PAGE = '<!doctype html><title>urllib3</title><script type="module" src="/bundle.js"></script>';
const LIMIT_MS = 50_000;

describeWith(['chromium'], 'FetchManager in Chromium', () => {
  let report: PageReport = {};
  beforeAll(async () => {
    report = await runInChromium();
  }, 90_000);

  describe('as every manager', () => {
    for (const { name, needs = [] } of BEHAVIOURS) {
      const [lacking] = needs;
      if (lacking === undefined) test(name, () => expect(report[name]).toBeNull());
      else test.skip(`${name} (${LACKING[lacking]})`, () => {});
    }
  });

  describe('as a browser lets it', () => {
    test.each(BROWSER_BEHAVIOURS.map(({ name }) => name))('%s', (name) => expect(report[name]).toBeNull());
  });
});

async function runInChromium(): Promise<PageReport> {
  const program = findProgram('chromium');
  if (program === undefined) throw new Error('chromium is not installed: apt-get install chromium');
  const folder = mkdtempSync(path.join(tmpdir(), 'urllib3-chromium-'));
  let browser: ChildProcess | null = null;
  try {
    const bundle = await bundled(folder);
    await using httpbin = await startHttpbin();
    let onReport: (report: PageReport) => void = () => {};
    const reported = new Promise<PageReport>((resolve) => {
      onReport = resolve;
    });
    await using scenarios = await startScenarios((...visit) => serve(visit, bundle, () => job, onReport));
    const { url, otherUrl, refusedUrl } = scenarios;
    const job: PageJob = { url, otherUrl, refusedUrl, httpbin: httpbin.url, abilities: [] };
    const profile = `--user-data-dir=${path.join(folder, 'profile')}`;
    browser = spawn(program, [...ARGUMENTS, profile, `${url}/`], {
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    browser.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2_000);
    });
    const [late, timer] = after(LIMIT_MS);
    try {
      return await Promise.race([
        reported,
        late.then(() => Promise.reject(new Error(`Chromium did not report: ${said}`))),
      ]);
    } finally {
      clearTimeout(timer);
    }
  } finally {
    if (browser !== null) await end(browser);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The page's script, made as the documentation says. */
async function bundled(folder: string): Promise<Buffer> {
  for (const [, name = '', code = ''] of readFileSync(`${ROOT}docs/edge-runtimes.md`, 'utf8').matchAll(RECIPE)) {
    writeFileSync(path.join(folder, name), code);
  }
  symlinkSync(`${ROOT}node_modules`, path.join(folder, 'node_modules'), 'junction');
  const page = JSON.stringify(`${ROOT}test/behaviour/browser-page.ts`);
  writeFileSync(path.join(folder, 'app.js'), `import { runPage } from ${page};\nawait runPage();\n`);
  await promisify(execFile)(process.execPath, ['build.mjs'], { cwd: folder });
  return readFileSync(path.join(folder, 'bundle.js'));
}

/** A block whose first line names its file. */
const RECIPE = /^```mjs\n\/\/ (\S+)\n([\s\S]*?)^```/gm;

function serve(
  [request, response, body]: Parameters<Extra>,
  bundle: Buffer,
  job: () => PageJob,
  onReport: (report: PageReport) => void,
): boolean {
  const answer = (type: string, content: string | Buffer) => {
    response.setHeader('Content-Type', type);
    response.end(content);
    return true;
  };
  switch (request.url) {
    case '/':
      return answer('text/html', PAGE);
    case '/bundle.js':
      return answer('text/javascript', bundle);
    case '/job':
      return answer('application/json', JSON.stringify(job()));
    case '/favicon.ico':
      return answer('image/x-icon', '');
    case '/report':
      onReport(JSON.parse(body.toString()));
      return answer('text/plain', '');
    default:
      return false;
  }
}

function after(ms: number): [Promise<void>, NodeJS.Timeout | undefined] {
  let timer: NodeJS.Timeout | undefined;
  const promise = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  return [promise, timer];
}

/** With all its processes: it leads a group of its own. */
async function end(browser: ChildProcess): Promise<void> {
  if (browser.pid === undefined || browser.exitCode !== null) return;
  process.kill(-browser.pid, 'SIGKILL');
  await once(browser, 'close');
}
