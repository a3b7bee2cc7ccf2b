/**
 * Completes package-lock.json with the optional packages of other platforms.
 *
 * Where a registry does not serve them npm leaves them out of the lock file, and `npm ci` then refuses it everywhere. Run it
 * after `npm install` on such a machine: `node .ci/complete-lock.mjs package-lock.json`.
 */
import { readFileSync, writeFileSync } from 'node:fs';

const SYSTEMS = /(?:^|-)(android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32|aix)(?:-|$)/;
const PROCESSORS = /-(arm64|x64|ia32|arm|loong64|ppc64|riscv64|s390x|mips64el)/;

const path = process.argv[2] ?? 'package-lock.json';
const lock = JSON.parse(readFileSync(path, 'utf8'));
const { packages } = lock;
for (const [folder, { optionalDependencies = {} }] of Object.entries(packages)) {
  for (const [name, range] of Object.entries(optionalDependencies)) {
    const isThere = `node_modules/${name}` in packages || `${folder}/node_modules/${name}` in packages;
    if (!isThere) packages[`node_modules/${name}`] = entryFor(name, range);
  }
}
lock.packages = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);

/** What npm would write of a package whose name tells its platform, but for the hash. */
function entryFor(name, range) {
  const tail = name.split('/').at(-1);
  const cpu = PROCESSORS.exec(tail)?.[1];
  const os = SYSTEMS.exec(tail)?.[1];
  const libc = tail.includes('musl') ? 'musl' : os === 'linux' && tail.includes('gnu') ? 'glibc' : undefined;
  return {
    version: range.replace(/^[^\d]*/, ''),
    ...(cpu === undefined ? {} : { cpu: [cpu] }),
    dev: true,
    ...(libc === undefined ? {} : { libc: [libc] }),
    optional: true,
    ...(os === undefined ? {} : { os: [os] }),
  };
}
