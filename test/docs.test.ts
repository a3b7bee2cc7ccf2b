/**
 * The documentation keeps its word: every block of TypeScript or JavaScript runs as it is shown, against the built
 * package, prints what its comments say, and has no type error; links lead somewhere, and commands exist.
 *
 * Hosts that the blocks name are servers of the embedded httpbin: support/docs-runner.ts. There is no way to skip a block.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { blocksOf, documentationPages, inOneLine, isAsPromised, promisedOutput, ROOT } from './support/docs-blocks.js';
import { type Tried, tryBlocks } from './support/docs-workshop.js';

const pages = documentationPages();
const blocks = pages.flatMap(blocksOf);

/** Not of the documentation: what must be noticed. */
const [throwing, unpromising, mistyped] = blocksOf({
  path: 'bad.md',
  text: [
    "```ts\nconsole.log('before');\nthrow new TypeError('as shown');\n```",
    "```js\nconsole.log('http://httpbin.org', process.argv0 === '');\n```",
    "```ts\nimport { Retry } from 'urllib3';\nnew Retry({ total: false, conect: 1 });\n```",
  ].join('\n'),
});

describe('the code blocks', () => {
  let tried: Tried;

  beforeAll(async () => {
    tried = await tryBlocks([...blocks, ...[throwing, unpromising, mistyped].filter((block) => block !== undefined)]);
  }, 60_000);

  test.each(blocks.map((block) => [`${block.path}:${block.line}`, block] as const))(
    '%s runs and prints what it says',
    (_place, block) => {
      const report = tried.reports.get(block.id);
      expect(report?.error).toBeNull();
      const printed = (report?.printed ?? []).map(inOneLine);
      const promised = promisedOutput(block);
      // Where it is not, the difference is shown; where it is, `...` may have stood for much.
      expect(isAsPromised(printed, promised) ? promised : printed).toEqual(promised);
    },
  );

  test('those in TypeScript have no type error', () => {
    expect(tried.typeErrors.filter((message) => !message.startsWith('bad.md'))).toEqual([]);
  });

  test('what is wrong with a block is noticed', () => {
    expect(tried.reports.get(throwing?.id ?? '')).toEqual({
      printed: ['before\n'],
      error: expect.stringMatching(/^TypeError: as shown\n.*bad-md-2\.mjs:2:/),
    });
    expect(tried.reports.get(unpromising?.id ?? '')?.printed).toEqual(['http://httpbin.org false\n']);
    expect(tried.reports.get(mistyped?.id ?? '')?.error).toMatch('conect');
    expect(tried.typeErrors.filter((message) => message.startsWith('bad.md'))).toEqual([
      expect.stringMatching(/^bad\.md:10: [\s\S]*'conect' does not exist/),
    ]);
  });
});

describe('promisedOutput() and isAsPromised()', () => {
  const block = (code: string) => ({ path: 'x.md', line: 1, language: 'ts', code, id: 'x' }) as const;

  test.each([
    ['console.log(1); // -> 1', ['1'], true],
    ['console.log(1); // -> 1', ['2'], false],
    ['console.log(1); // -> 1', [], false],
    ['console.log(1);', ['1'], false],
    ['console.log(1);\n// -> { a: 1,\n//      b: 2 }\n// other', ['{ a: 1, b: 2 }'], true],
    ['console.log(uuid()); // -> { id: ... }', ['{ id: 7 }'], true],
    ['console.log(1); // -> 1\n// -> ...', ['1', '2', '3'], true],
    ['console.log(1); // -> 1.5', ['1x5'], false],
  ])('%j with %j: %j', (code, printed, wanted) => {
    expect(isAsPromised(printed, promisedOutput(block(code)))).toBe(wanted);
  });
});

describe('the pages', () => {
  const textOf = new Map(pages.map(({ path, text }) => [path, text]));

  test.each(pages.map(({ path, text }) => [path, text] as const))('the links of %s lead somewhere', (path, text) => {
    const targets = Array.from(text.matchAll(/\]\(([^)\s]+)\)/g), ([, target = '']) => target);
    const dead = targets.filter((target) => {
      if (/^https?:/.test(target)) return false;
      const [file = '', anchor] = target.split('#');
      const wanted = file === '' ? path : normalize(join(dirname(path), file));
      if (!existsSync(ROOT + wanted)) return true;
      return anchor !== undefined && !anchorsOf(textOf.get(wanted) ?? '').has(anchor);
    });
    expect(dead).toEqual([]);
  });

  test('docs/index.md lists every page', () => {
    const index = textOf.get('docs/index.md') ?? '';
    const others = pages.filter(({ path }) => path.startsWith('docs/') && path !== 'docs/index.md');
    expect(others.filter(({ path }) => !index.includes(`(${path.slice('docs/'.length)})`))).toEqual([]);
  });

  test('the npm scripts that they name exist', () => {
    const { scripts }: { scripts: Record<string, string> } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
    const named = pages.flatMap(({ text }) => Array.from(text.matchAll(/npm run ([\w:-]+)/g), ([, name = '']) => name));
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });
});

/** Of the headings outside code blocks, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const prose = text.replace(/^```[\s\S]*?^```/gm, '');
  const headings = Array.from(prose.matchAll(/^#+ (.+)$/gm), ([, heading = '']) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}
