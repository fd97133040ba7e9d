/** Other builds than this checkout's, in folders of their own. */
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from './host.ts';
import { expectSuccess, run } from './process.ts';

const SETUP_LIMIT_MS = 300_000;
const NODE = 'node_modules/node';
const BUILDS = join(ROOT, 'node_modules/.cache/overlayd');

export interface Checkout {
  readonly directory: string;
  /** As `git describe` names it. */
  readonly commit: string;
  remove(): void;
}

/** A revision of this repository with the packages of its own lockfile, built. Throws when there is no such revision. */
export async function checkOut(revision: string): Promise<Checkout> {
  const commit = (await git('rev-parse', '--short', `${revision}^{commit}`)).trim();
  console.log(`building ${commit}`);
  const { directory, remove } = makeDirectory(commit);
  try {
    await extract(commit, directory);
    await setUp(directory);
    shareNode(directory);
    return { directory, commit, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/**
 * The directory of that commit's build, which is made once and kept beside the packages. It shares these where its lockfile is
 * the same. Throws, with what to do, when the commit is not in this clone.
 */
export async function buildOf(commit: string): Promise<string> {
  const directory = join(BUILDS, commit);
  if (existsSync(directory)) return directory;
  if ((await run(['git', '-C', ROOT, 'cat-file', '-e', `${commit}^{commit}`])).code !== 0) {
    throw new Error(
      `the commit ${commit} is not in this clone, and the test runs its build: get the history (git fetch --unshallow), in a clone, not in a copy without .git`,
    );
  }
  // Node.js takes the types out of no file below `node_modules`.
  const made = makeDirectory(commit.slice(0, 7));
  mkdirSync(BUILDS, { recursive: true });
  const keeping = mkdtempSync(`${directory}.`);
  try {
    await extract(commit, made.directory);
    const shares = lockfileOf(made.directory) === lockfileOf(ROOT);
    if (shares) {
      symlinkSync(join(ROOT, 'node_modules'), join(made.directory, 'node_modules'));
      await build(made.directory);
    } else await setUp(made.directory);
    for (const name of ['dist', 'package.json', 'node_modules'])
      expectSuccess(await run(['cp', '-a', join(made.directory, name), keeping]));
    // Whole, or not at all; another run may have been quicker.
    if (!existsSync(directory)) renameSync(keeping, directory);
    return directory;
  } finally {
    made.remove();
    rmSync(keeping, { recursive: true, force: true });
  }
}

/** A build of the same sources that calls itself another version, and none of whose files is the same to the agent. */
export async function nextVersionOf(checkout: string): Promise<Checkout> {
  const { directory, remove } = makeDirectory('next');
  try {
    for (const name of ['src', 'deploy', 'package.json', 'package-lock.json']) {
      cpSync(join(checkout, name), join(directory, name), { recursive: true, preserveTimestamps: true });
    }
    symlinkSync(join(checkout, 'node_modules'), join(directory, 'node_modules'));
    const path = join(directory, 'package.json');
    const description = JSON.parse(readFileSync(path, 'utf8'));
    writeFileSync(path, JSON.stringify({ ...description, version: `${description.version}-next` }));
    const sources = join(directory, 'src');
    for (const name of readdirSync(sources, { recursive: true, encoding: 'utf8' })) {
      // A comment that bundles keep: every program is another one.
      if (name.endsWith('.ts')) appendFileSync(join(sources, name), '\n/*! next version */\n');
    }
    await build(directory);
    return { directory, commit: 'next', remove };
  } catch (error) {
    remove();
    throw error;
  }
}

async function extract(commit: string, directory: string): Promise<void> {
  const archive = join(directory, 'archive.tar');
  await git('archive', '--output', archive, commit);
  expectSuccess(await run(['tar', '-C', directory, '-xf', archive]));
  rmSync(archive);
}

async function setUp(directory: string): Promise<void> {
  expectSuccess(await run(['bash', join(directory, 'deploy/setup.sh')], { timeoutMs: SETUP_LIMIT_MS }));
}

async function build(directory: string): Promise<void> {
  expectSuccess(await run([join(directory, NODE, 'bin/node'), join(directory, 'deploy/build.ts')]));
}

function lockfileOf(directory: string): string {
  return readFileSync(join(directory, 'package-lock.json'), 'utf8');
}

function makeDirectory(what: string): Pick<Checkout, 'directory' | 'remove'> {
  const directory = mkdtempSync(join(tmpdir(), `overlayd-${what}-`));
  const remove = () => {
    rmSync(directory, { recursive: true, force: true });
    process.off('exit', remove);
  };
  process.once('exit', remove);
  return { directory, remove };
}

/** Where both have the same Node.js it is one file, so that its pages are shared and count alike on both sides. */
function shareNode(directory: string): void {
  const version = (root: string) => JSON.parse(readFileSync(join(root, NODE, 'package.json'), 'utf8')).version;
  if (version(directory) !== version(ROOT)) return;
  rmSync(join(directory, NODE), { recursive: true });
  symlinkSync(join(ROOT, NODE), join(directory, NODE));
}

async function git(...args: readonly string[]): Promise<string> {
  return expectSuccess(await run(['git', '-C', ROOT, ...args]));
}
