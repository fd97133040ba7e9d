/**
 * Builds `dist/`: one CommonJS bundle for each program, for the larger ones with the code that V8 makes of it, and the
 * launcher `dist/overlayd`. Does nothing when nothing changed; `--force` builds.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { launchFlags } from './launch-flags.ts';
import { withRehearsedAgent } from './rehearsed-agent.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const DIST = path.join(ROOT, 'dist');
const LIB = path.join(DIST, 'lib');
const STAMP = path.join(DIST, '.stamp');

/** Small ones, which start as fast from their source. */
const PROGRAMS = {
  'kernel-worker.cjs': 'src/adapters/kernel/kernel-worker.ts',
  'names.cjs': 'src/names-main.ts',
  'ui.cjs': 'src/ui-main.ts',
  'control.cjs': 'src/adapters/grpc/control.ts',
  'execa.cjs': 'node_modules/execa/index.js',
  'x509.cjs': 'node_modules/@peculiar/x509/build/x509.es.js',
} as const;

/**
 * Those that start from compiled code, each with arguments that make it run through its start without doing anything, and
 * with the program whose flags it has when it is run: code of other flags is not taken.
 */
const COMPILED_PROGRAMS = {
  cli: { entry: 'src/main.ts', rehearsal: ['network', 'ls'], process: 'cli' },
  agent: { entry: 'src/agent-main.ts', rehearsal: ['--help'], process: 'agent' },
} as const;

/** What container tools run; the command installs it. */
const TOOL_PROGRAM = 'deploy/shims/overlayd.pl';

/** What `overlayd ui` serves; browsers of the last two years. */
const PAGE = path.join(ROOT, 'src/page');
const PAGE_FILES = ['index.html', 'favicon.svg'];
const PAGE_OPTIONS: BuildOptions = {
  ...{ bundle: true, platform: 'browser', format: 'esm', target: 'es2023', charset: 'utf8', minify: true },
  ...{ jsx: 'automatic', jsxImportSource: 'preact', logLevel: 'warning', write: false },
};

const KOFFI = path.join(ROOT, 'deploy/koffi.cjs');

const nativeCode: Plugin = {
  name: 'native-code',
  setup({ onResolve }) {
    onResolve({ filter: /^koffi$/ }, ({ importer }) =>
      importer === KOFFI ? { path: 'koffi', external: true } : { path: KOFFI },
    );
  },
};

/**
 * What hardly any command needs is no part of the command's bundle, nor of the agent's what many agents do not: V8 keeps the text
 * of a bundle for as long as the process lives.
 */
const apart: Plugin = {
  name: 'apart',
  setup({ onResolve }) {
    const external = (name: string) => ({ path: `./${name}.cjs`, external: true });
    onResolve({ filter: /^\.\/adapters\/grpc\/control\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? external('control') : undefined,
    );
    onResolve({ filter: /^execa$/ }, () => external('execa'));
    onResolve({ filter: /^@peculiar\/x509$/ }, () => external('x509'));
  },
};

/** gRPC is loaded by whoever uses it, not by whoever uses messages of a file in which a client is made too. */
const clientsOnDemand: Plugin = {
  name: 'clients-on-demand',
  setup({ onLoad, onResolve, resolve }) {
    onLoad({ filter: /\/src\/gen\/overlayd\/.*\.ts$/ }, async ({ path: file }) => {
      const text = await readFile(file, 'utf8');
      return { contents: text.replace(/= (?=makeGenericClientConstructor\()/g, '= /* @__PURE__ */ '), loader: 'ts' };
    });
    onResolve({ filter: /^@grpc\/grpc-js$/ }, async ({ path: name, pluginData, ...where }) => {
      if (pluginData === 'resolving') return undefined;
      return { ...(await resolve(name, { ...where, pluginData: 'resolving' })), sideEffects: false };
    });
  },
};

/** What commander takes of Node.js by default imports, of which a bundle else copies each name; what starts programs, when it does. */
const commandersOwn: Plugin = {
  name: 'commanders-own',
  setup({ onLoad, onResolve }) {
    onResolve({ filter: /^node:(child_process|fs|path|process)$/ }, ({ path: name, importer }) =>
      importer.includes('/node_modules/commander/') ? { path: name, namespace: 'commanders-own' } : undefined,
    );
    onLoad({ filter: /./, namespace: 'commanders-own' }, ({ path: name }) => ({
      contents:
        name === 'node:child_process'
          ? `export default { get spawn() { return require('${name}').spawn; } };`
          : `export default require('${name}');`,
    }));
  },
};

const OPTIONS: BuildOptions = {
  bundle: true,
  plugins: [nativeCode, apart, clientsOnDemand, commandersOwn],
  // gRPC wants it for services of its own that nothing here starts.
  external: ['@grpc/proto-loader'],
  platform: 'node',
  format: 'cjs',
  target: 'node24',
  // `require` knows the bundles; what V8 compiles by itself has no `import()`.
  supported: { 'dynamic-import': false },
  // One character beyond Latin-1 makes V8 keep a whole file two bytes wide; names stay, for stack traces.
  charset: 'ascii',
  minifyWhitespace: true,
  minifySyntax: true,
  logLevel: 'warning',
  // The sources are modules: in a CommonJS file these names have to be made.
  define: {
    'import.meta.dirname': '__dirname',
    'import.meta.filename': '__filename',
  },
  banner: {
    js: `if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(\`overlayd: Node.js 24 or newer is needed, this is \${process.version}\`);
  process.exit(1);
}`,
  },
};

const inputs = await fingerprintInputs();
if (!process.argv.includes('--force') && (await readFile(STAMP, 'utf8').catch(() => '')) === inputs) {
  console.log('dist/ is up to date');
} else {
  const start = performance.now();
  await mkdir(path.join(LIB, 'page'), { recursive: true });
  const source = await readFile(path.join(ROOT, 'deploy/launcher.sh'), 'utf8');
  const launcher = source.replace('@VERSION@', await version());
  const results = await Promise.allSettled([
    ...Object.entries(PROGRAMS).map(async ([name, entry]) => replaceFile(path.join(LIB, name), await bundle(entry))),
    ...Object.entries(COMPILED_PROGRAMS).map(([name, { entry, rehearsal, process }]) =>
      compile(name, entry, [...launchFlags(launcher, process), path.join(ROOT, 'deploy/keep-code.ts')], rehearsal),
    ),
    replaceFile(path.join(DIST, 'overlayd'), launcher, 0o755),
    readFile(path.join(ROOT, TOOL_PROGRAM), 'utf8').then((text) => replaceFile(path.join(LIB, 'overlayd.pl'), text)),
    buildPage(),
  ]);
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  // esbuild has said what is wrong and where; its stack trace says nothing more.
  for (const failure of failures) if (!('errors' in failure)) console.error(failure);
  if (failures.length > 0) process.exitCode = 1;
  else await replaceFile(STAMP, inputs);
  console.log(`dist/ ${failures.length > 0 ? 'not wholly ' : ''}built in ${Math.round(performance.now() - start)} ms`);
}

async function version(): Promise<string> {
  return (JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
}

async function bundle(entry: string): Promise<string> {
  const { outputFiles } = await build({ ...OPTIONS, entryPoints: [path.join(ROOT, entry)], write: false });
  return outputFiles[0]!.text;
}

async function buildPage(): Promise<void> {
  const made = Object.entries({ 'page.js': 'main.tsx', 'page.css': 'page.css' }).map(async ([name, entry]) => {
    const { outputFiles } = await build({ ...PAGE_OPTIONS, entryPoints: [path.join(PAGE, entry)] });
    await replaceFile(path.join(LIB, 'page', name), outputFiles![0]!.text);
  });
  const copied = PAGE_FILES.map(async (name) =>
    replaceFile(path.join(LIB, 'page', name), await readFile(path.join(PAGE, name))),
  );
  await Promise.all([...made, ...copied]);
}

async function compile(
  name: string,
  entry: string,
  keepCode: readonly string[],
  rehearsal: readonly string[],
): Promise<void> {
  const [text, start] = await Promise.all([bundle(entry), bundle('deploy/start-bundle.ts')]);
  const file = path.join(LIB, `${name}.bundle.cjs`);
  await replaceFile(file, withHash(text));
  await replaceFile(path.join(LIB, `${name}.cjs`), start);
  await withRehearsedAgent(async (runDir) => {
    await promisify(execFile)(process.execPath, [...keepCode, file, ...rehearsal], {
      env: { OVERLAYD_RUN_DIR: runDir },
    });
  });
}

function withHash(text: string): string {
  const body = `${text}//`;
  return body + createHash('sha256').update(body).digest('hex');
}

/** Whole or not at all: a program that starts meanwhile reads the old file or the new one. */
async function replaceFile(file: string, contents: string | Uint8Array, mode = 0o644): Promise<void> {
  const temporary = `${file}.${process.pid}`;
  await writeFile(temporary, contents);
  await chmod(temporary, mode);
  await rename(temporary, file);
}

/** Changes when a source, the build itself or the installed packages change. */
async function fingerprintInputs(): Promise<string> {
  const hash = createHash('sha256');
  const sources = (await readdir(path.join(ROOT, 'src'), { recursive: true })).map((name) => `src/${name}`).sort();
  const parts = ['build', 'compiled-bundle', 'keep-code', 'launch-flags', 'rehearsed-agent', 'start-bundle'].map(
    (name) => `deploy/${name}.ts`,
  );
  const files = [
    ...sources,
    ...parts,
    'package.json',
    'package-lock.json',
    'deploy/koffi.cjs',
    'deploy/launcher.sh',
    TOOL_PROGRAM,
  ];
  for (const name of [...files, 'node_modules/.package-lock.json']) {
    const { size, mtimeMs } = await stat(path.join(ROOT, name)).catch(() => ({ size: 0, mtimeMs: 0 }));
    hash.update(`${name} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}
