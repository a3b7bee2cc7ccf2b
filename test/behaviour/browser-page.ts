/** The page that runs the behaviour suite in a browser, and posts what came of it to the server that it was loaded from. */
import { FetchManager } from '../../src/contrib/fetch.js';
import { BROWSER_BEHAVIOURS } from './browser-behaviour.js';
import { type Ability, BEHAVIOURS, type Behaviour } from './manager-behaviour.js';
import type { SeenRequest } from './scenario-server.js';

/** What the page is told. */
export interface PageJob {
  readonly abilities: readonly Ability[];
  readonly url: string;
  readonly otherUrl: string;
  readonly refusedUrl: string;
  readonly httpbin: string;
}

/** What came of each case, by its name: null if nothing was wrong. */
export type PageReport = Readonly<Record<string, string | null>>;

/** Runs all cases that the browser is able to do. */
export async function runPage(): Promise<void> {
  // What the test serves there.
  const job = (await (await fetch('/job')).json()) as PageJob;
  const report: Record<string, string | null> = {};
  const isPossible = ({ needs = [] }: Behaviour) => needs.every((ability) => job.abilities.includes(ability));
  const waiting = [...BEHAVIOURS.filter(isPossible).entries()];
  const runLane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, behaviour] = next;
      report[behaviour.name] = await outcomeOf(behaviour, `run${index}`, job);
    }
  };
  // A browser has six connections for a host, and some cases keep one waiting.
  await Promise.all([runLane(), runLane(), runLane()]);
  // These look at the console: one after the other.
  for (const [index, behaviour] of BROWSER_BEHAVIOURS.entries()) {
    report[behaviour.name] = await outcomeOf(behaviour, `own${index}`, job);
  }
  await fetch('/report', { method: 'POST', body: JSON.stringify(report) });
}

async function outcomeOf(behaviour: Behaviour, run: string, job: PageJob): Promise<string | null> {
  try {
    await behaviour.run({
      url: `${job.url}/${run}`,
      other: `${job.otherUrl}/${run}`,
      refused: job.refusedUrl,
      httpbin: job.httpbin,
      http: new FetchManager(),
      make: (options) => new FetchManager(options),
      // What the server writes there.
      log: async () => (await (await fetch(`/${run}/log`)).json()) as readonly SeenRequest[],
      equal,
    });
    return null;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

/** Everything that is compared is data. */
function equal(actual: unknown, wanted: unknown): void {
  if (canonical(actual) !== canonical(wanted)) {
    throw new Error(`expected ${canonical(wanted)}, got ${canonical(actual)}`);
  }
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (part === undefined) return '(undefined)';
    const isRecord = typeof part === 'object' && part !== null && !Array.isArray(part);
    return isRecord ? Object.fromEntries(Object.entries(part).sort()) : part;
  });
}
