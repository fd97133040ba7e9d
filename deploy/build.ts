/**
 * Builds `dist/`: one CommonJS file for each program, etcd3's protocol files, which it reads at run time from
 * `../proto` beside its own file, and the launcher `dist/overlayd`. Does nothing when nothing changed; `--force` builds.
 */
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type BuildOptions, build } from 'esbuild';

const ROOT = path.resolve(import.meta.dirname, '..');
const DIST = path.join(ROOT, 'dist');
const STAMP = path.join(DIST, '.stamp');
const ETCD_PROTO = path.join(ROOT, 'node_modules/etcd3/proto');

const PROGRAMS = {
  'cli.cjs': 'src/main.ts',
  'agent.cjs': 'src/agent-main.ts',
  'dns-binder.cjs': 'src/adapters/dns/binder.ts',
  'lease-worker.cjs': 'src/adapters/etcd/lease-worker.ts',
  'spawner.cjs': 'src/adapters/kernel/spawner.ts',
} as const;

const OPTIONS: BuildOptions = {
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node24',
  // One character beyond Latin-1 makes V8 keep a whole file two bytes wide; names stay, for stack traces.
  charset: 'ascii',
  minifyWhitespace: true,
  minifySyntax: true,
  write: false,
  logLevel: 'warning',
  // The sources are modules: in a CommonJS file these names have to be made.
  define: {
    'import.meta.url': 'importMetaUrl',
    'import.meta.dirname': '__dirname',
    'import.meta.filename': '__filename',
  },
  banner: {
    js: `if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(\`overlayd: Node.js 24 or newer is needed, this is \${process.version}\`);
  process.exit(1);
}
const importMetaUrl = require('node:url').pathToFileURL(__filename).href;`,
  },
};

const inputs = await fingerprintInputs();
if (!process.argv.includes('--force') && (await readFile(STAMP, 'utf8').catch(() => '')) === inputs) {
  console.log('dist/ is up to date');
} else {
  const start = performance.now();
  await mkdir(path.join(DIST, 'lib'), { recursive: true });
  await mkdir(path.join(DIST, 'proto'), { recursive: true });
  const launcher = await readFile(path.join(ROOT, 'deploy/launcher.sh'), 'utf8');
  const results = await Promise.allSettled([
    ...Object.entries(PROGRAMS).map(([name, entry]) => bundle(name, entry)),
    copyProtocols(),
    replaceFile(path.join(DIST, 'overlayd'), launcher, 0o755),
  ]);
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  // esbuild has said what is wrong and where; its stack trace says nothing more.
  for (const failure of failures) if (!('errors' in failure)) console.error(failure);
  if (failures.length > 0) process.exitCode = 1;
  else await replaceFile(STAMP, inputs);
  console.log(`dist/ ${failures.length > 0 ? 'not wholly ' : ''}built in ${Math.round(performance.now() - start)} ms`);
}

async function bundle(name: string, entry: string): Promise<void> {
  const entryPoint = path.join(ROOT, entry);
  if (!(await exists(entryPoint))) return;
  const { outputFiles } = await build({ ...OPTIONS, entryPoints: [entryPoint], outfile: path.join(DIST, 'lib', name) });
  for (const file of outputFiles ?? []) await replaceFile(file.path, file.contents);
}

async function copyProtocols(): Promise<void> {
  for (const name of await readdir(ETCD_PROTO)) {
    await replaceFile(path.join(DIST, 'proto', name), await readFile(path.join(ETCD_PROTO, name)));
  }
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
  const files = [...sources, 'package.json', 'package-lock.json', 'deploy/build.ts', 'deploy/launcher.sh'];
  for (const name of [...files, 'node_modules/.package-lock.json']) {
    const { size, mtimeMs } = await stat(path.join(ROOT, name)).catch(() => ({ size: 0, mtimeMs: 0 }));
    hash.update(`${name} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}

function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
