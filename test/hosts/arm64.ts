/**
 * `node test/hosts/arm64.ts ROOT`: the package for arm64, run by qemu's emulation of programs over that Debian's libraries: command, koffi, and an
 * agent that answers. Netlink is this machine's kernel's, and qemu passes on no netfilter, so no network is made.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ROOT } from '../lab/host.ts';
import { expectSuccess, run } from '../lab/process.ts';
import { step } from './fleet.ts';

const [root] = process.argv.slice(2);
if (root === undefined) {
  console.error('usage: node test/hosts/arm64.ts ROOT');
  process.exit(2);
}
const directory = mkdtempSync(path.join(tmpdir(), 'overlayd-arm64-'));
const tree = path.join(directory, 'tree/usr/lib/overlayd');
const emulated = ['qemu-aarch64-static', '-L', root, path.join(tree, 'node_modules/node/bin/node')];
const must = async (argv: readonly string[], cwd = tree) =>
  expectSuccess(await run(argv, { cwd, timeoutMs: 600_000 })).trim();
const node = (...args: readonly string[]) => must([...emulated, ...args]);
const overlayd = (...args: readonly string[]) => node('dist/lib/cli.cjs', ...args);

/** In a network of its own, with a `/run` of its own; ends with the agent's status. */
const AGENT = `mount --make-rprivate /
mount -t tmpfs tmpfs /run
ip link set lo up
state=$1
shift
"$@" dist/lib/agent.cjs --data-dir "$state/data" --run-dir /run/o --docker off >"$state/agent.log" 2>&1 &
for try in $(seq 300); do
  "$@" dist/lib/cli.cjs --run-dir /run/o status --format json 2>/dev/null && exit 0
  sleep 1
done
cat "$state/agent.log"
exit 1`;

try {
  await step('the package for arm64', async () => {
    const script = path.join(ROOT, 'deploy/package.ts');
    await must([process.execPath, script, '--arch', 'arm64', '--fast', '--out', directory], ROOT);
    const deb = readdirSync(directory).find((name) => name.endsWith('_arm64.deb'))!;
    await must(['dpkg-deb', '-x', path.join(directory, deb), path.join(directory, 'tree')], directory);
  });
  await step('the command', async () => {
    assert.match(await overlayd('--version'), /^\d+\.\d+\.\d+$/);
    assert.match(await overlayd('--help'), /^Usage: overlayd /);
    assert.match(await node('dist/lib/agent.cjs', '--help'), /^Usage: overlayd agent /);
  });
  await step('koffi calls the C library and libnftables', async () => {
    const calls =
      "const k = require('koffi'); k.load('libnftables.so.1'); console.log(process.arch, k.load('libc.so.6').func('int getpid()')() === process.pid)";
    assert.equal(await node('-e', calls), 'arm64 true');
  });
  await step('an agent that answers, and sees by netlink what the kernel lacks', async () => {
    const text = await must([
      'unshare',
      '--net',
      '--mount',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      'sh',
      '-c',
      AGENT,
      'agent',
      directory,
      ...emulated,
    ]);
    const { Problems, State } = JSON.parse(text) as { Problems: string[]; State: string };
    assert.equal(State, 'waiting');
    for (const problem of Problems) assert.match(problem, /nftables|connection tracking by netlink/);
  });
} finally {
  rmSync(directory, { recursive: true, force: true });
}
console.log('ok: arm64');
