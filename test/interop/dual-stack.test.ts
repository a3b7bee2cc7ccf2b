import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import type { Probe } from './dual-stack-probe.js';
import { describeWith } from './servers/program.js';

/** Why this machine cannot have a network of its own; undefined if it can. Containers without CAP_SYS_ADMIN cannot. */
const obstacle = obstacleToNetworks();

describeWith(
  ['unshare', 'ip', 'dnsmasq', 'mount'],
  'a host with two families of addresses',
  () => {
    test.each([
      {
        order: 'IPv6 first',
        preferIpv4: '0',
        dead: 'ipv6dead.test',
        first: '2001:db8::dead',
        answers: '::ffff:127.0.0.1',
      },
      { order: 'IPv4 first', preferIpv4: '1', dead: 'ipv4dead.test', first: '198.51.100.99', answers: '2001:db8::2' },
    ])('$order, and that one black-holed: connected within 700 ms', async ({ preferIpv4, dead, first, answers }) => {
      const probes = await probesIn(preferIpv4);
      const probe = probes.find(({ host }) => host === dead);
      expect(probe?.addresses[0], 'the resolver gives the dead address first').toBe(first);
      expect(probe?.outcome).toBe(answers);
      expect(probe?.elapsedMs).toBeGreaterThanOrEqual(200);
      expect(probe?.elapsedMs).toBeLessThan(700);

      const hopeless = probes.find(({ host }) => host === 'alldead.test');
      expect(hopeless?.outcome).toBe('ConnectTimeoutError');
      expect(hopeless?.elapsedMs).toBeGreaterThanOrEqual(1_900);
      expect(hopeless?.elapsedMs).toBeLessThan(2_700);
    });
  },
  obstacle,
);

async function probesIn(preferIpv4: string): Promise<readonly Probe[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'urllib3-dual-stack-'));
  try {
    const here = path.dirname(fileURLToPath(import.meta.url));
    const script = path.join(here, 'servers', 'dual-stack.sh');
    const probe = path.join(here, 'dual-stack-probe.ts');
    const args = [script, folder, process.execPath, '--import', 'tsx', probe];
    const env = { ...process.env, PREFER_IPV4: preferIpv4, NODE_OPTIONS: '' };
    const { stdout } = await promisify(execFile)('bash', args, { env, cwd: here, timeout: 30_000 });
    // The probe prints exactly this.
    return JSON.parse(stdout) as readonly Probe[];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function obstacleToNetworks(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root';
  const { status, error } = spawnSync('unshare', [
    '--net',
    '--mount',
    '--propagation',
    'private',
    'ip',
    'link',
    'add',
    'near',
    'type',
    'veth',
    'peer',
    'name',
    'far',
  ]);
  return status === 0
    ? undefined
    : `no network namespace with veth here: ${error?.message ?? `unshare exits with ${status}`}`;
}
