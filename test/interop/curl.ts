/** curl, as a second opinion on what a server answers. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface CurlAnswer {
  /** 0; 52 for an empty reply, 8 for one that is no HTTP, 18 for content cut short. */
  readonly exitCode: number;
  readonly status: number;
  readonly body: Buffer;
}

/** Follows no proxy setting of the machine, and gives up after 20 seconds. */
export async function curl(...args: string[]): Promise<CurlAnswer> {
  const all = ['-s', '--noproxy', '*', '--max-time', '20', '-w', '%{stderr}%{http_code}', ...args];
  try {
    const { stdout, stderr } = await promisify(execFile)('curl', all, {
      encoding: 'buffer',
      maxBuffer: 64 * 1024 ** 2,
    });
    return { exitCode: 0, status: Number(stderr), body: stdout };
  } catch (error) {
    const isExit = error instanceof Error && 'code' in error && typeof error.code === 'number';
    if (!isExit || !('stdout' in error) || !Buffer.isBuffer(error.stdout)) throw error;
    return { exitCode: Number(error.code), status: 0, body: error.stdout };
  }
}
