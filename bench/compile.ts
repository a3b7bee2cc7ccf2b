/**
 * Turns the TypeScript of this folder into JavaScript for the processes that measure and serve.
 *
 * They run plain JavaScript, because a TypeScript loader inside a measured process would cost memory and processor time that
 * belong to no client. The output lies below bench/, where the peers' packages are found and files are modules.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

const FOLDERS = ['.', 'clients', 'server'];

/** Compiles each file on its own, without checking types; `npm run typecheck` does that. */
export function compileBench(source: string, target: string): void {
  for (const folder of FOLDERS) {
    mkdirSync(join(target, folder), { recursive: true });
    for (const name of readdirSync(join(source, folder))) {
      if (name.endsWith('.ts'))
        compileFile(join(source, folder, name), join(target, folder, name.replace(/ts$/, 'js')));
    }
  }
}

function compileFile(source: string, target: string): void {
  const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), {
    fileName: source,
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true },
  });
  writeFileSync(target, outputText);
}
