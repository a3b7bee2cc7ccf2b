/** The files that every server here serves: the same content everywhere, so that answers can be compared. */
import { createCipheriv, createHash } from 'node:crypto';
import { mkdir, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';

export const HELLO = Buffer.from('hello, world\n');
/** Compresses well, to several reads of a socket all the same. */
export const TEXT = Buffer.from(Array.from({ length: 20_000 }, (_, line) => `line ${line} of a text\n`).join(''));
/** Does not compress. */
export const RANDOM = noise(1_048_576);
/** Sparse: it takes no room on a disk. Beyond what 32 bits can count. */
export const BIG_BYTES = 5 * 1024 ** 3;

/** Writes hello.txt, text.txt, random.bin and big.bin to `www` in a server's folder. */
export async function writeDocuments(folder: string): Promise<string> {
  const root = path.join(folder, 'www');
  await mkdir(root, { recursive: true });
  await writeFile(path.join(root, 'hello.txt'), HELLO);
  await writeFile(path.join(root, 'text.txt'), TEXT);
  await writeFile(path.join(root, 'random.bin'), RANDOM);
  await writeFile(path.join(root, 'big.bin'), '');
  await truncate(path.join(root, 'big.bin'), BIG_BYTES);
  return root;
}

/** Bytes without a pattern, the same each time. */
export function noise(count: number): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(count));
}

/** A short name for bytes: what differs in a megabyte is then told in one line. */
export function fingerprint(bytes: Uint8Array): string {
  return `${bytes.length} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}`;
}
