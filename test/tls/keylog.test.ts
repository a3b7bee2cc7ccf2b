import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { SSLError } from '../../src/exceptions.js';
import { appendKeys, checkKeylogFile } from '../../src/tls/keylog.js';

const folder = mkdtempSync(join(tmpdir(), 'urllib3-keylog-'));
afterAll(() => rmSync(folder, { recursive: true }));

test('checkKeylogFile() makes a file that only its owner can read, and keeps what is in it', () => {
  const path = join(folder, 'keys.log');
  checkKeylogFile('keylogFile', path);
  if (process.platform !== 'win32') expect(statSync(path).mode & 0o777).toBe(0o600);
  appendKeys(path, Buffer.from('one\n'));
  checkKeylogFile('keylogFile', path);
  appendKeys(path, Buffer.from('two\n'));
  expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
});

test('checkKeylogFile() raises SSLError for a file that cannot be written', () => {
  expect(() => checkKeylogFile('keylogFile', join(folder, 'no', 'keys'))).toThrow(SSLError);
  expect(() => checkKeylogFile('SSLKEYLOGFILE', folder)).toThrow(
    /^Cannot write SSLKEYLOGFILE ".*": it is a directory$/,
  );
});

test('appendKeys() loses a line that cannot be written, and goes on', () => {
  expect(() => appendKeys(join(folder, 'no', 'keys'), Buffer.from('x'))).not.toThrow();
});
