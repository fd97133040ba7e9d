/**
 * Makes of test files what a guest with an emulated processor can run: one file each, without vitest, whose worker is given
 * up there before it has started. Of vitest there is what those files use (`plain-vitest.ts`). Called by `test/kernel.sh`:
 *
 *   node test/kernel/bundle.ts DIRECTORY netns/wireguard e2e/story.test.ts
 *
 * Bundles go to DIRECTORY in the order in which they are run; `run.mjs`, which runs them, is there too. Where a file says where
 * it is, it says so of its source.
 */
import { mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const ROOT = path.resolve(import.meta.dirname, '../..');
const PLAIN = path.join(ROOT, 'test/kernel/plain-vitest.ts');
const SUITES = ['netns', 'e2e'];

const [directory, ...chosen] = process.argv.slice(2) as [string, ...string[]];

/** Test files of what was chosen, relative to `test`. */
function filesOf(name: string): readonly string[] {
  const at = path.join(ROOT, 'test', name);
  const isThere = SUITES.includes(name.split('/', 1)[0]!) && statSync(at, { throwIfNoEntry: false }) !== undefined;
  if (!isThere) {
    console.error(
      `no suite, folder or file '${name}': there are netns and e2e, and what is in their folders of test/. ` +
        'The others do not ask the kernel: `-- node test/run.ts unit` runs them there all the same',
    );
    process.exit(2);
  }
  if (statSync(at).isFile()) return [name];
  const all = readdirSync(at, { recursive: true }) as string[];
  const files = all.filter((file) => file.endsWith('.test.ts'));
  return files.map((file) => path.join(name, file)).sort();
}

/** Sources find programs and directories beside themselves: they are where they were. */
const ownPlace: Plugin = {
  name: 'own-place',
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
      const places = { url: pathToFileURL(file).href, filename: file, dirname: path.dirname(file) };
      const text = readFileSync(file, 'utf8').replace(/\bimport\.meta\.(url|filename|dirname)\b/g, (_, name) =>
        JSON.stringify(places[name as keyof typeof places]),
      );
      return { contents: text, loader: 'ts' };
    });
  },
};

/** `koffi` is native code, which stays in `node_modules`; of vitest there is the little one. */
const packages: Plugin = {
  name: 'packages',
  setup({ onResolve }) {
    onResolve({ filter: /^koffi$/ }, () => ({ path: path.join(ROOT, 'node_modules/koffi/index.js'), external: true }));
    onResolve({ filter: /^vitest$/ }, () => ({ path: PLAIN }));
  },
};

const OPTIONS: BuildOptions = {
  ...{ bundle: true, platform: 'node', format: 'esm', target: 'node24', logLevel: 'warning' },
  plugins: [packages, ownPlace],
  external: ['@grpc/proto-loader'],
  // For packages that are CommonJS.
  banner: {
    js: "import { createRequire as madeRequire } from 'node:module';\nconst require = madeRequire(import.meta.url);",
  },
};

const bundle = (source: string, name: string) =>
  build({
    ...OPTIONS,
    stdin: { contents: source, resolveDir: ROOT, loader: 'ts' },
    outfile: path.join(directory, name),
  });
const importOf = (file: string) => `import ${JSON.stringify(path.join(ROOT, file))};\n`;

const files = [...new Set(chosen.flatMap(filesOf))];
mkdirSync(directory, { recursive: true });
await Promise.all([
  bundle(importOf('test/kernel/run.ts'), 'run.mjs'),
  bundle(importOf('src/adapters/kernel/kernel-worker.ts'), 'kernel-worker.mjs'),
]);
for (const [at, file] of files.entries()) {
  const name = `${String(at).padStart(3, '0')}-${file.replaceAll('/', '-').replace(/\.ts$/, '')}.mjs`;
  const run = `import { runAll } from ${JSON.stringify(PLAIN)};\nawait runAll();\n`;
  await bundle(`${importOf(path.join('test', file))}${run}`, name);
}
console.log(files.join('\n'));
