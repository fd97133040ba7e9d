/** Signals that come in the middle of a call, as many as another process can send. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runNftables } from '../../../src/adapters/native/libnftables.ts';
import { until } from '../../lab/until.ts';
import { TestNamespace } from '../netlink/namespace.ts';

const SOCKET = fileURLToPath(new URL('../../../src/adapters/native/socket.ts', import.meta.url));
const RULES = 600;

let space: TestNamespace;
let heard: number;
const hear = () => {
  heard += 1;
};

beforeEach(() => {
  space = new TestNamespace('signals');
  heard = 0;
  process.on('SIGURG', hear);
});
afterEach(() => {
  process.off('SIGURG', hear);
  space.remove();
});

it('what the kernel has done is not told to have failed', async () => {
  runNftables(space.path, 'add table inet x; add chain inet x a');
  const outcomes = new Set<string>();
  const sender = spawn('sh', ['-c', 'while kill -URG $PPID; do :; done'], { stdio: 'ignore' });
  try {
    await until('signals', () => heard > 0);
    for (let port = 1; port <= RULES; port++)
      outcomes.add(runNftables(space.path, `add rule inet x a tcp dport ${port} accept`).errors);
    const before = heard;
    // They are handled as soon as a transaction has ended.
    await until('more signals', () => heard > before);
  } finally {
    sender.kill('SIGKILL');
    await once(sender, 'exit');
  }
  expect([...outcomes]).toEqual(['']);
  expect(space.exec('nft', 'list', 'chain', 'inet', 'x', 'a').match(/dport/g)).toHaveLength(RULES);
});

/** In a process of its own, which can be ended: nothing ever comes, and signals do for ever. */
const WAITER = `
  import { spawn } from 'node:child_process';
  import { AF, openSocket, PollSet, SOCK } from '${SOCKET}';
  process.on('SIGURG', () => undefined);
  const sender = spawn('sh', ['-c', 'while kill -URG $PPID; do :; done'], { stdio: 'ignore' });
  const poll = new PollSet();
  poll.set([openSocket(AF.UNIX, SOCK.DGRAM)]);
  console.log(JSON.stringify(poll.wait(1_000_000)));
  sender.kill('SIGKILL');
`;

it('who waits for a time is not kept for longer', () => {
  const argv = ['--input-type=module', '-e', WAITER];
  const { stdout, signal } = spawnSync(process.execPath, argv, { encoding: 'utf8', timeout: 60_000 });
  expect({ stdout, signal }).toEqual({ stdout: '[]\n', signal: null });
});
