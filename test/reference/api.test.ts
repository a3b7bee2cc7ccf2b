/**
 * Every symbol of the reference, one a row of api.tsv: it exists under its name here, in the built declarations and at run
 * time, and has its documented default. A row is never taken out: what was decided differently is listed here, with the reason.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

interface Row {
  readonly python: string;
  readonly kind: string;
  readonly ours: string;
  readonly default: string;
}

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..');

const [, ...LINES] = readFileSync(join(HERE, 'api.tsv'), 'utf8').trimEnd().split('\n');
const ROWS: readonly Row[] = LINES.map((line) => {
  const [python = '', kind = '', ours = '', fallback = ''] = line.split('\t');
  return { python, kind, ours, default: fallback };
});

/** Parameters whose name here is another: `default` is a word of the language. */
const RENAMED = new Map([['default', 'fallback']]);

const EXPORTS: Readonly<Record<string, { readonly types: string; readonly default: string }>> = JSON.parse(
  readFileSync(join(ROOT, 'package.json'), 'utf8'),
).exports;

function subpath(module: string): { readonly types: string; readonly default: string } {
  const entry = EXPORTS[module === 'urllib3' ? '.' : `./${module.slice('urllib3/'.length)}`];
  if (entry === undefined) throw new Error(`package.json exports no ${module}`);
  return { types: join(ROOT, entry.types), default: join(ROOT, entry.default) };
}

const MODULES = [...new Set(ROWS.map(({ ours }) => ours.split('#')[0] ?? ''))];
const program = ts.createProgram(
  MODULES.map((module) => subpath(module).types),
  { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, strict: true, noEmit: true },
);
const checker = program.getTypeChecker();

function exported(module: string, name: string): ts.Symbol {
  const file = program.getSourceFile(subpath(module).types);
  const symbol = file && checker.getSymbolAtLocation(file);
  const found = symbol && checker.getExportsOfModule(symbol).find((one) => one.name === name);
  if (found === undefined) throw new Error(`${module} exports no ${name}`);
  return (found.flags & ts.SymbolFlags.Alias) !== 0 ? checker.getAliasedSymbol(found) : found;
}

function typeOf(symbol: ts.Symbol): ts.Type {
  return checker.getTypeOfSymbol(symbol);
}

/** What `new X()` gives. */
function instanceTypes(symbol: ts.Symbol): readonly ts.Type[] {
  const types = typeOf(symbol)
    .getConstructSignatures()
    .map((signature) => signature.getReturnType());
  // An abstract class has no construct signature to speak of.
  return types.length > 0 || (symbol.flags & ts.SymbolFlags.Type) === 0
    ? types
    : [checker.getDeclaredTypeOfSymbol(symbol)];
}

function member(types: readonly ts.Type[], name: string): ts.Symbol | undefined {
  for (const type of types) {
    const found = checker.getPropertyOfType(type, name);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The signatures that a path of a row stands for, and what is left of the path. */
function callable(symbol: ts.Symbol, path: readonly string[]): { signatures: readonly ts.Signature[]; rest: string[] } {
  const [first, second, ...others] = path;
  if (first === 'args' || first === 'options') {
    const type = typeOf(symbol);
    return { signatures: [...type.getConstructSignatures(), ...type.getCallSignatures()], rest: [...path] };
  }
  const isMethod = first === 'prototype';
  const name = isMethod ? second : first;
  const owner = isMethod ? member(instanceTypes(symbol), name ?? '') : member([typeOf(symbol)], name ?? '');
  if (owner === undefined) throw new Error(`there is no ${name}`);
  const rest = isMethod ? others : [second ?? '', ...others];
  return { signatures: typeOf(owner).getCallSignatures(), rest };
}

function parameters(signatures: readonly ts.Signature[]): readonly ts.Symbol[] {
  return signatures.flatMap((signature) => [...signature.getParameters()]);
}

/** Names of the properties that any parameter's type has: options are one object, in unions with short forms. */
function optionNames(signatures: readonly ts.Signature[]): Set<string> {
  const names = new Set<string>();
  for (const parameter of parameters(signatures)) {
    const type = typeOf(parameter);
    for (const part of type.isUnion() ? type.types : [type]) {
      for (const property of checker.getPropertiesOfType(checker.getNonNullableType(part))) names.add(property.name);
    }
  }
  return names;
}

function checkDeclared({ ours }: Row): void {
  const [module = '', path = ''] = ours.split('#');
  if (path === '') {
    expect(program.getSourceFile(subpath(module).types)).toBeDefined();
    return;
  }
  const [name = '', ...rest] = path.split('.');
  const symbol = exported(module, name);
  if (rest.length === 0) return;
  const kind = rest.at(-2);
  const last = rest.at(-1) ?? '';
  if (kind === 'args' || kind === 'options') {
    const { signatures } = callable(symbol, rest);
    const positional = parameters(signatures).map((parameter) => parameter.name);
    const named = optionNames(signatures);
    const wanted = RENAMED.get(last) ?? last;
    // Where one optional argument is all there is, it may be positional, as the naming rules say.
    if (kind === 'args') expect(positional).toContain(wanted);
    else expect([...named, ...positional]).toContain(positional.includes(wanted) ? wanted : last);
    return;
  }
  const statics = typeOf(symbol);
  if (kind === 'prototype')
    expect(typeOf(required(member(instanceTypes(symbol), last))).getCallSignatures()).not.toEqual([]);
  else if (kind === 'instance') required(member(instanceTypes(symbol), last));
  else required(member([statics, ...instanceTypes(symbol)], last));
}

function required(symbol: ts.Symbol | undefined): ts.Symbol {
  if (symbol === undefined) throw new Error('there is no such member');
  return symbol;
}

describe('the declarations that are built', () => {
  test('the table has every row of the reference', () => {
    expect(ROWS).toHaveLength(654);
  });

  test.each(ROWS.map((row) => [row.python, row.ours, row] as const))('%s is %s', (_python, _ours, row) => {
    checkDeclared(row);
  });
});

/** A module as a user gets it: built, by its subpath. */
async function load(module: string): Promise<Readonly<Record<string, unknown>>> {
  return await import(pathToFileURL(subpath(module).default).href);
}

async function value(module: string, name: string): Promise<unknown> {
  return (await load(module))[name];
}

/** Rows whose last name is a thing by itself: not a parameter, and not the module. */
const NAMED = ROWS.filter(({ ours }) => ours.includes('#') && !/\.(args|options)\./.test(ours));

describe('the modules that are built', () => {
  test.each(NAMED.filter(({ ours }) => !ours.includes('.instance.')).map((row) => [row.python, row] as const))(
    '%s is there at run time',
    async (_python, { ours }) => {
      const [module = '', path = ''] = ours.split('#');
      const [name = '', ...rest] = path.split('.');
      const owner = await value(module, name);
      expect(owner, ours).toBeDefined();
      if (rest.length === 0) return;
      const { prototype } = owner as { prototype: object };
      if (rest[0] === 'prototype') {
        // An abstract method is a promise of the declarations; who extends the class keeps it.
        if (ours !== 'urllib3/request#RequestMethods.prototype.urlopen') {
          expect(Reflect.get(prototype, rest[1] ?? ''), ours).toBeTypeOf('function');
        }
        return;
      }
      const last = rest.at(-1) ?? '';
      const isStatic = Reflect.has(owner as object, last);
      const made = isStatic ? owner : await example(name);
      expect(Reflect.has(made as object, last), ours).toBe(true);
    },
  );

  test.each([
    ['urllib3/connection#HTTPConnection.defaultPort', 80],
    ['urllib3/connection#HTTPConnection.defaultSocketOptions', [[6, 1, 1]]],
    ['urllib3/connection#HTTPConnection.isVerified', false],
    ['urllib3/connectionpool#ConnectionPool.scheme', null],
    ['urllib3/connectionpool#HTTPConnectionPool.scheme', 'http'],
    ['urllib3/connectionpool#HTTPSConnectionPool.scheme', 'https'],
    ['urllib3/connectionpool#portByScheme', { http: 80, https: 443 }],
    ['urllib3/exceptions#ResponseError.GENERIC_ERROR', 'too many error responses'],
    ['urllib3/exceptions#ResponseError.SPECIFIC_ERROR', 'too many {statusCode} error responses'],
    ['urllib3/response#GzipDecoderState.FIRST_MEMBER', 0],
    ['urllib3/response#GzipDecoderState.OTHER_MEMBERS', 1],
    ['urllib3/response#GzipDecoderState.SWALLOW_DATA', 2],
    ['urllib3/response#HTTPResponse.CONTENT_DECODERS', expect.arrayContaining(['gzip', 'deflate'])],
    ['urllib3/util/retry#Retry.BACKOFF_MAX', 120],
  ])('%s is %j', async (ours, wanted) => {
    const [module = '', path = ''] = ours.split('#');
    const [name = '', last] = path.split('.');
    const owner = await value(module, name);
    expect(last === undefined ? owner : Reflect.get(owner as object, last)).toEqual(wanted);
  });

  test('sets hold what the reference lists', async () => {
    const { Retry } = (await load('urllib3/util/retry')) as { Retry: Record<string, ReadonlySet<unknown>> };
    const methods = ['HEAD', 'GET', 'PUT', 'DELETE', 'OPTIONS', 'TRACE'];
    expect([...(Retry.DEFAULT_METHOD_WHITELIST ?? [])].sort()).toEqual(methods.sort());
    expect([...(Retry.RETRY_AFTER_STATUS_CODES ?? [])]).toEqual([413, 429, 503]);
    const credentials = ['Authorization', 'Cookie', 'Proxy-Authorization'];
    expect([...(Retry.DEFAULT_REDIRECT_HEADERS_BLACKLIST ?? [])]).toEqual(expect.arrayContaining(credentials));
    const { HTTPResponse } = (await load('urllib3/response')) as { HTTPResponse: Record<string, ReadonlySet<unknown>> };
    expect([...(HTTPResponse.REDIRECT_STATUSES ?? [])]).toEqual([301, 302, 303, 307, 308]);
  });

  test('names of one thing are one thing', async () => {
    for (const { python, kind, ours, default: fallback } of ROWS) {
      if (kind !== 'alias' && kind !== 'reexport') continue;
      const [module = '', name = ''] = ours.split('#');
      if (name.includes('.')) continue;
      const here = await value(module, name);
      expect(here, ours).toBeDefined();
      const home = ROWS.find((row) => row.python !== python && isHome(row, name, module));
      if (kind === 'reexport' && home !== undefined)
        expect(here).toBe(await value(home.ours.split('#')[0] ?? '', name));
      if (kind === 'alias') expect(here).toBe(await value(module, fallback));
    }
  });

  test('what objects have by default is what the reference says', async () => {
    for (const { ours, default: fallback } of ROWS) {
      const [, name, part] = /#(\w+)\.(?:options|instance)\.(\w+)$/.exec(ours) ?? [];
      if (
        name === undefined ||
        part === undefined ||
        !['true', 'false', 'null'].includes(fallback) ||
        !EXAMPLES.has(name)
      )
        continue;
      const made = await example(name);
      if (Reflect.has(made as object, part) && !OBJECT_DEFAULTS_DIFFER.has(ours)) {
        expect(Reflect.get(made as object, part), ours).toBe(JSON.parse(fallback));
      }
    }
  });
});

/** What the constructor makes of a default: a set, a list, or the pool's own. */
const OBJECT_DEFAULTS_DIFFER = new Set([
  'urllib3/util/retry#Retry.options.statusForcelist',
  'urllib3/util/retry#Retry.options.history',
]);

const SOCKS = { socksVersion: 5, proxyHost: 'localhost', proxyPort: 1080, username: null, password: null, rdns: true };

/** An object of each class, made with as little as can be. */
const EXAMPLES = new Map<string, readonly [module: string, ...args: unknown[]]>([
  ['HTTPConnection', ['urllib3/connection', 'localhost']],
  ['VerifiedHTTPSConnection', ['urllib3/connection', 'localhost']],
  ['ConnectionPool', ['urllib3/connectionpool', 'localhost']],
  ['HTTPConnectionPool', ['urllib3/connectionpool', 'localhost']],
  ['HTTPSConnectionPool', ['urllib3/connectionpool', 'localhost']],
  ['NTLMConnectionPool', ['urllib3/contrib/ntlmpool', 'user', 'pw', '/auth', 'localhost']],
  ['SOCKSHTTPConnectionPool', ['urllib3/contrib/socks', 'localhost', { _socksOptions: SOCKS }]],
  ['SOCKSHTTPSConnectionPool', ['urllib3/contrib/socks', 'localhost', { _socksOptions: SOCKS }]],
  ['SOCKSProxyManager', ['urllib3/contrib/socks', 'socks5h://localhost:1080']],
  ['PoolManager', ['urllib3/poolmanager']],
  ['ProxyManager', ['urllib3/poolmanager', 'http://localhost:3128']],
  ['HTTPResponse', ['urllib3/response']],
  ['Retry', ['urllib3/util/retry']],
  ['Timeout', ['urllib3/util/timeout']],
]);

async function example(name: string): Promise<unknown> {
  const [module = '', ...args] = EXAMPLES.get(name) ?? [];
  const Class = await value(module, name);
  if (typeof Class !== 'function') throw new Error(`There is no example of ${name}`);
  return Reflect.construct(Class, args);
}

/** Where a thing is at home: in the module of the row that is not itself a name for it elsewhere. */
function isHome({ kind, ours }: Row, name: string, notModule: string): boolean {
  const [module, path] = ours.split('#');
  return kind !== 'reexport' && kind !== 'alias' && kind !== 'param' && path === name && module !== notModule;
}
