/**
 * The code blocks of the documentation: where each stands, what it says, and what it promises to print.
 *
 * A block of TypeScript or JavaScript is one module. What it prints is written where it is printed, one comment for each
 * call of the console; `...` stands for anything, alone also for any number of further calls:
 *
 * ```text
 *   console.log(response.status); // -> 200
 * ```
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The project's folder, with a slash at its end. */
export const ROOT = fileURLToPath(new URL('../../', import.meta.url));

export interface Page {
  /** Relative to the project: `docs/user-guide.md`. */
  readonly path: string;
  readonly text: string;
}

export interface Block {
  /** Of the page. */
  readonly path: string;
  /** Of the block's first line of code, from 1. */
  readonly line: number;
  readonly language: 'ts' | 'js';
  readonly code: string;
  /** A name that no other block has, good for a file. */
  readonly id: string;
}

/** Everything that a visitor of the project reads. */
export function documentationPages(): Page[] {
  const docs = readdirSync(`${ROOT}docs`).filter((name) => name.endsWith('.md'));
  const paths = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...docs.map((name) => `docs/${name}`)];
  return paths.map((path) => ({ path, text: readFileSync(ROOT + path, 'utf8') }));
}

/** The blocks of a page that are programs; each fence must name its language. */
export function blocksOf({ path, text }: Page): Block[] {
  const blocks: Block[] = [];
  const lines = text.split('\n');
  let fence: { readonly language: string; readonly line: number } | null = null;
  for (const [index, line] of lines.entries()) {
    const [, info] = /^\s*```(.*)$/.exec(line) ?? [];
    if (info === undefined) continue;
    if (fence === null) {
      if (info === '') throw new Error(`${path}:${index + 1}: a code block must name its language`);
      fence = { language: info, line: index + 2 };
      continue;
    }
    const { language, line: first } = fence;
    fence = null;
    if (language !== 'ts' && language !== 'js') continue;
    const code = `${lines.slice(first - 1, index).join('\n')}\n`;
    const id = `${path.replace(/\W+/g, '-')}-${first}`;
    blocks.push({ path, line: first, language, code, id });
  }
  if (fence !== null) throw new Error(`${path}:${fence.line - 1}: the code block does not end`);
  return blocks;
}

/** What a block promises to print, one entry for each call of the console. */
export function promisedOutput({ code }: Block): string[] {
  const promised: string[] = [];
  let continues = false;
  for (const line of code.split('\n')) {
    const output: string | undefined = /\/\/ -> ?(.*)$/.exec(line)?.[1];
    const more: string | undefined = continues ? /^\s*\/\/ {4}(.*)$/.exec(line)?.[1] : undefined;
    if (output !== undefined) promised.push(output);
    else if (more !== undefined) promised.push(`${promised.pop()} ${more}`);
    continues = output !== undefined || more !== undefined;
  }
  return promised.map(inOneLine);
}

/** Whether what was printed is what was promised. */
export function isAsPromised(printed: readonly string[], promised: readonly string[]): boolean {
  const pattern = promised
    .join('\n')
    .split('...')
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'))
    .join('[\\s\\S]*?');
  return new RegExp(`^${pattern}$`).test(printed.join('\n'));
}

/** How an object is broken into lines is the console's taste, and not promised. */
export function inOneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}
