/**
 * The file that session keys are written to, in NSS's format, so that Wireshark can read what was captured.
 *
 * A tool for debugging: it is tried when a configuration is made; a line that cannot be written later is lost.
 */
import { appendFileSync, closeSync, openSync } from 'node:fs';
import { SSLError } from '../exceptions.js';
import { excerpt } from '../excerpt.js';
import { reasonOf } from './pem.js';

/** Only the owner may read: the keys open every connection. */
const MODE = 0o600;

/** @throws {@link SSLError} if the file cannot be written */
export function checkKeylogFile(option: string, path: string): void {
  try {
    closeSync(openSync(path, 'a', MODE));
  } catch (cause) {
    throw new SSLError(`Cannot write ${option} ${excerpt(path)}: ${reasonOf(cause)}`, { cause });
  }
}

/** Appends a line, as sockets give it in their event `keylog`. */
export function appendKeys(path: string, line: Uint8Array): void {
  try {
    appendFileSync(path, line, { mode: MODE });
  } catch {
    // A full disk must not end connections, and there is nobody to tell.
  }
}
