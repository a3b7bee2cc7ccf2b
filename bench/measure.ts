/**
 * The process that measures one client in one scenario once: run.ts starts it anew each time, so that processor time and
 * memory belong to that client alone.
 *
 * The loop is the same for all clients: as many lanes as connections, each sending its next request when the last was
 * answered, and the length of every content is checked. The job comes as an argument, the sample leaves on stdout.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenSession, Session } from './clients/client.js';
import type { Job, Sample } from './job.js';
import { WARM_UP_BYTES } from './scenarios.js';

type Gc = () => void;

/** Before the idle connections are opened, all on one connection. */
const WARM_UP_REQUESTS = 200;

interface Span {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

// From run.ts of the same build: its shape is that of the type.
const job: Job = JSON.parse(process.argv[2] ?? 'null');
const sample = await measure(job);
// Clients may keep sockets and timers; nothing here waits for them.
process.stdout.write(`${JSON.stringify(sample)}\n`, () => process.exit());

async function measure({ client, work, origin, proxy, ca, library, warmUpMs, measureMs }: Job): Promise<Sample> {
  const { open }: { readonly open: OpenSession } = await import(`./clients/${client}.js`);
  const connections = 'connections' in work ? work.connections : 1;
  const gzip = work.kind === 'requests' && work.gzip;
  const session = await open({ origin, proxy, connections, ca, gzip, library });
  try {
    switch (work.kind) {
      case 'requests': {
        const once = async () => expectBytes(await session.get(work.path), work.contentBytes);
        return await measureLanes(once, connections, work.contentBytes, warmUpMs, measureMs);
      }
      case 'uploads': {
        const once = async () => expectBytes(await session.upload('/upload', work.sizeBytes), work.sizeBytes);
        return await measureLanes(once, connections, work.sizeBytes, warmUpMs, measureMs);
      }
      case 'download': {
        expectBytes(await session.download('/warm-up.bin'), WARM_UP_BYTES);
        return await measureTransfer(() => session.download(work.path), work.sizeBytes);
      }
      case 'upload': {
        expectBytes(await session.upload('/upload', WARM_UP_BYTES), WARM_UP_BYTES);
        return await measureTransfer(() => session.upload('/upload', work.sizeBytes), work.sizeBytes);
      }
      case 'idle':
        return await measureIdle(session, origin, work.connections);
      default:
        return work satisfies never;
    }
  } finally {
    await session.close();
  }
}

/** Keeps `lanes` operations going; counts what ends between the end of the warm-up and the end of the time. */
async function measureLanes(
  once: () => Promise<void>,
  lanes: number,
  bytesEach: number,
  warmUpMs: number,
  measureMs: number,
): Promise<Sample> {
  let running = true;
  let finished = 0;
  const lane = async () => {
    while (running) {
      await once();
      finished += 1;
    }
  };
  const all = Promise.all(Array.from({ length: lanes }, lane));
  // A lane that fails ends the wait; one that does not is still going when the time is over.
  await Promise.race([sleep(warmUpMs), all]);
  const finishedBefore = finished;
  const stop = startSpan();
  await Promise.race([sleep(measureMs), all]);
  const span = stop();
  const operations = finished - finishedBefore;
  running = false;
  await all;
  return sampleOf(span, operations, operations * bytesEach);
}

async function measureTransfer(transfer: () => Promise<number>, sizeBytes: number): Promise<Sample> {
  const stop = startSpan();
  const bytes = await transfer();
  const span = stop();
  expectBytes(bytes, sizeBytes);
  return sampleOf(span, 1, bytes);
}

/**
 * The server holds its answers until as many requests are waiting as connections are wanted: so each request has one of
 * its own, and all are idle once they are answered. Resident memory is taken before and after, both times after a
 * collection, with the code of the client loaded and warm. More of a warm-up would measure less: what the heap keeps of
 * the first connections is where the next ones go, and they seem to cost nothing.
 */
async function measureIdle(session: Session, origin: string, connections: number): Promise<Sample> {
  const gc = collector();
  for (let pass = 0; pass < WARM_UP_REQUESTS; pass += 1) await openAtOnce(session, 1);
  const before = await settledRss(gc);
  const stop = startSpan();
  const contentBytes = await openAtOnce(session, connections);
  const span = stop();
  const after = await settledRss(gc);
  const kept = await openConnections(origin);
  if (kept < connections) throw new Error(`Cannot measure idle connections: the client kept ${kept} of ${connections}`);
  // The connection of the warm-up was there before.
  const added = connections - 1;
  return { ...sampleOf(span, connections, contentBytes), bytesPerConnection: (after - before) / added };
}

async function openAtOnce(session: Session, connections: number): Promise<number> {
  const path = `/gate/${connections}`;
  const lengths = await Promise.all(Array.from({ length: connections }, () => session.get(path)));
  return lengths.reduce((sum, length) => sum + length, 0);
}

function collector(): Gc {
  const gc = globalThis.gc;
  if (gc === undefined) throw new Error('Cannot measure idle connections: Node must run with --expose-gc');
  return () => gc();
}

/** Resident memory after what can be collected is, and after freed pages went back to the system. */
async function settledRss(gc: Gc): Promise<number> {
  for (let pass = 0; pass < 5; pass += 1) {
    gc();
    await sleep(100);
  }
  return process.memoryUsage.rss();
}

async function openConnections(origin: string): Promise<number> {
  const response = await fetch(`${origin}/connections`);
  // Its own connection is counted by the server, too.
  return Number(await response.text()) - 1;
}

function startSpan(): () => Span {
  const began = performance.now();
  const cpuBegan = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(cpuBegan);
    return { seconds: (performance.now() - began) / 1000, cpuSeconds: (user + system) / 1e6 };
  };
}

function sampleOf(span: Span, operations: number, contentBytes: number): Sample {
  return { ...span, operations, contentBytes, peakRssBytes: peakRss(), bytesPerConnection: null };
}

/**
 * The largest resident set in bytes. Linux counts in `maxRSS` what the process was before it became Node, a fork of the
 * orchestrating one; the high-water mark of the address space begins anew with the program.
 */
function peakRss(): number {
  if (process.platform === 'linux') {
    const kib = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
    if (kib !== undefined) return Number(kib) * 1024;
  }
  return process.resourceUsage().maxRSS * 1024;
}

function expectBytes(got: number, wanted: number): void {
  if (got !== wanted) throw new Error(`Cannot count a content of ${got} bytes: ${wanted} are wanted`);
}
