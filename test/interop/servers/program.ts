/**
 * Where the programs are that the tests of this folder run, and what to do about one that is not there.
 *
 * On a developer's machine a missing program skips its tests, with the reason in their title. In CI it fails them: a run
 * that tested nothing must not look like one that passed.
 */
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { describe } from 'vitest';

/** Debian keeps servers in sbin, which the PATH of most users lacks. */
const FOLDERS = [...(process.env.PATH ?? '').split(path.delimiter), '/usr/sbin', '/sbin', '/usr/bin'];

/** The path of a program; undefined if it is not installed. */
export function findProgram(name: string): string | undefined {
  return FOLDERS.map((folder) => path.join(folder, name)).find(isExecutable);
}

/**
 * `describe` for tests that need programs.
 *
 * @param obstacle - why this machine cannot run the tests even with the programs; that skips them in CI too
 */
export function describeWith(programs: readonly string[], title: string, tests: () => void, obstacle?: string): void {
  const missing = programs.filter((name) => findProgram(name) === undefined);
  if (missing.length > 0 && !process.env.CI) describe.skip(`${title} (not installed: ${missing.join(', ')})`, tests);
  else if (obstacle !== undefined) describe.skip(`${title} (${obstacle})`, tests);
  else describe(title, tests);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
