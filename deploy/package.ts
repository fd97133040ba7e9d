/**
 * `npm run package`: overlayd_VERSION_amd64.deb and overlayd-VERSION-linux-x64.tar.gz, with Node.js and all that the programs
 * need of npm. `--arch arm64` fetches both of that processor from npm. `--out DIR` (release/), `--fast` (little compression),
 * `--version V`.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { COMPLETIONS } from '../src/cli/commands/completion.ts';
import { createProgram } from '../src/cli/program.ts';
import type { Surroundings } from '../src/cli/session.ts';
import { copyright } from './package/copyright.ts';
import {
  type Arch,
  archiveFiles,
  DEBIAN_ARCH,
  type Entry,
  type Made,
  type NativeFiles,
  packageFiles,
} from './package/files.ts';
import { manualPages } from './package/manual.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const DEBIAN = path.join(ROOT, 'deploy/package/debian');
const { values } = parseArgs({
  options: {
    arch: { type: 'string', default: 'x64' },
    out: { type: 'string', default: path.join(ROOT, 'release') },
    fast: { type: 'boolean', default: false },
    version: { type: 'string' },
  },
});
const read = (name: string) => readFileSync(path.join(ROOT, name), 'utf8');
const description: { version: string; description: string } = JSON.parse(read('package.json'));
const version = values.version ?? description.version;
const out = path.resolve(values.out);
const arch = values.arch as Arch;
if (!Object.hasOwn(DEBIAN_ARCH, arch)) {
  console.error(`package: --arch ${arch}: write ${Object.keys(DEBIAN_ARCH).join(' or ')}`);
  process.exit(2);
}

const work = mkdtempSync(path.join(tmpdir(), 'overlayd-package-'));
process.once('exit', () => rmSync(work, { recursive: true, force: true }));
mkdirSync(out, { recursive: true });
const native = nativeFiles();
const made = await make();
for (const file of [buildPackage(), buildArchive()]) console.log(file);

function nativeFiles(): NativeFiles {
  const modules = path.join(ROOT, 'node_modules');
  if (arch === process.arch) {
    const node = path.join(work, 'node');
    cpSync(path.join(modules, 'node/bin/node'), node);
    // A sixth of it is names that nobody reads; without binutils they stay.
    const isThere = (process.env.PATH ?? '').split(':').some((directory) => existsSync(path.join(directory, 'strip')));
    if (isThere) execFileSync('strip', ['--strip-unneeded', node]);
    return { node, koffi: path.join(modules, `@koromix/koffi-linux-${arch}`) };
  }
  const nodeVersion = JSON.parse(read('node_modules/node/package.json')).version;
  const koffiVersion = JSON.parse(read('node_modules/koffi/package.json')).version;
  const fetched = (name: string) => {
    const archive = execFileSync('npm', ['pack', '--silent', '--pack-destination', work, name]).toString().trim();
    const directory = mkdtempSync(path.join(work, 'npm-'));
    execFileSync('tar', ['-xzf', path.join(work, archive), '-C', directory, '--strip-components=1']);
    return directory;
  };
  return {
    node: path.join(fetched(`node-linux-${arch}@${nodeVersion}`), 'bin/node'),
    koffi: fetched(`@koromix/koffi-linux-${arch}@${koffiVersion}`),
  };
}

async function make(): Promise<Made> {
  const program = createProgram({ columns: 80, terminal: {} } as Surroundings);
  const script = (shell: string) => `${COMPLETIONS[shell]!(program)}\n`;
  const { outputFiles } = await build({
    entryPoints: [path.join(ROOT, 'deploy/docker-setup.ts')],
    ...{ bundle: true, platform: 'node', format: 'cjs', target: 'node24', write: false, logLevel: 'warning' },
    define: { 'import.meta.dirname': '__dirname' },
  });
  return {
    manual: manualPages(version),
    completions: { bash: script('bash'), zsh: script('zsh'), fish: script('fish') },
    dockerSetup: outputFiles[0]!.text,
    unit: read('deploy/overlayd.service'),
    copyright: copyright(ROOT),
    changelog: changelog(),
  };
}

function changelog(): string {
  const maintainer = /^Maintainer: (.*)$/m.exec(read('deploy/package/debian/control'))![1];
  const [day, date, month, year, time] = new Date().toUTCString().replace(',', '').split(' ');
  return `overlayd (${version}) unstable; urgency=medium

  * What is new: /usr/share/doc/overlayd/NEWS.gz

 -- ${maintainer}  ${day}, ${date} ${month} ${year} ${time} +0000
`;
}

function buildPackage(): string {
  const root = path.join(work, 'package');
  const entries = packageFiles(arch, native, made);
  const bytes = lay(root, entries);
  const control = path.join(root, 'DEBIAN');
  mkdirSync(control);
  const fields = read('deploy/package/debian/control')
    .replace('VERSION', version)
    .replace('ARCHITECTURE', DEBIAN_ARCH[arch])
    .replace('KIBIBYTES', String(Math.ceil(bytes / 1024)));
  writeFileSync(path.join(control, 'control'), fields);
  for (const name of ['preinst', 'postinst', 'prerm', 'postrm']) {
    writeFileSync(path.join(control, name), readFileSync(path.join(DEBIAN, name)), { mode: 0o755 });
  }
  const sums = entries
    .filter(({ link }) => link === undefined)
    .map(({ path: name }) => {
      const hash = createHash('md5')
        .update(readFileSync(path.join(root, name)))
        .digest('hex');
      return `${hash}  ${name}\n`;
    });
  writeFileSync(path.join(control, 'md5sums'), sums.join(''));
  const file = path.join(out, `overlayd_${version}_${DEBIAN_ARCH[arch]}.deb`);
  const compression = values.fast ? ['-Zgzip', '-z1'] : ['-Zxz', '-z6'];
  execFileSync('dpkg-deb', ['--root-owner-group', ...compression, '--build', root, file], { stdio: 'pipe' });
  return file;
}

function buildArchive(): string {
  const name = `overlayd-${version}-linux-${arch}`;
  const root = path.join(work, 'archive');
  lay(root, archiveFiles(name, arch, native, made));
  const file = path.join(out, `${name}.tar.gz`);
  const owner = ['--owner=root:0', '--group=root:0', '--sort=name'];
  const compress = `gzip ${values.fast ? -1 : -6}`;
  execFileSync('tar', [...owner, '-I', compress, '-cf', file, '-C', root, name], { stdio: 'pipe' });
  return file;
}

/** Returns how large it is. */
function lay(root: string, entries: readonly Entry[]): number {
  let bytes = 0;
  for (const { path: name, from, text, link, mode = 0o644 } of entries) {
    const target = path.join(root, name);
    mkdirSync(path.dirname(target), { recursive: true, mode: 0o755 });
    if (link !== undefined) {
      symlinkSync(link, target);
      continue;
    }
    const contents = from === undefined ? Buffer.from(text!) : readFileSync(path.resolve(ROOT, from));
    writeFileSync(target, name.endsWith('.gz') ? gzipSync(contents, { level: 9 }) : contents);
    chmodSync(target, mode);
    bytes += contents.length;
  }
  return bytes;
}
