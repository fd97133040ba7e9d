/** The command as a process of its own, its output into pipes, files and nowhere. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ControlHandlers, serveControl } from '../../../src/adapters/grpc/control-server.ts';
import { OverlaydError } from '../../../src/core/errors.ts';
import { recordingLogger } from '../agent/cluster/cluster-fixture.ts';
import { endpoint } from './fake-agent.ts';

const run = promisify(execFile);
const MAIN = resolve(import.meta.dirname, '../../../src/main.ts');
/** Reads in small pieces, while the command has long written all that a pipe takes. */
const SLOW = 'dd bs=512 status=none';
const END = new AbortController();

let directory: string;
/** How many endpoints there are. */
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'overlayd-output-'));
  const handlers: Partial<ControlHandlers> = {
    listEndpoints: async () => ({ endpoints: Array.from({ length: count }, () => endpoint) }),
    // As long as somebody listens.
    followEvents: async (_, emit, signal) => {
      for (let seq = 1; !signal.aborted; seq++) {
        const event = { type: 'network-created', seq, atMs: seq, level: 'info', message: 'it happened', fields: '{}' };
        await emit({ events: [{ nodeId: 'n1', nodeName: 'host1', event }], leftOut: [], away: [] });
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    removeNetwork: async ({ ref }) => Promise.reject(new OverlaydError('network-not-found', `no network ${ref}`)),
  };
  const options = { socketPath: join(directory, 'overlayd.sock'), logger: recordingLogger([]) };
  await serveControl(handlers as ControlHandlers, options, END.signal);
});
afterAll(async () => {
  END.abort();
  await rm(directory, { recursive: true, force: true });
});

/** `line` sees the command as `$C`; answers with what the shell printed, its exit code last. */
async function shell(line: string): Promise<string> {
  const script = `C="$0 $1 --run-dir $2"; ${line}`;
  const { stdout } = await run('bash', ['-c', script, process.execPath, MAIN, directory], { maxBuffer: 1 << 26 });
  return stdout;
}

test.each([
  ['more than a pipe takes', 250],
  ['over 1 MiB', 2_500],
])('a slow reader gets everything: %s', async (_what, endpoints) => {
  count = endpoints;
  const out = await shell(`$C endpoint ls --format json | ${SLOW}; exit \${PIPESTATUS[0]}`);
  expect(out.length).toBeGreaterThan(endpoints < 1_000 ? 65_536 : 2 ** 20);
  expect(JSON.parse(out)).toHaveLength(endpoints);
});

test('what goes wrong is told to the end, to a slow reader too', async () => {
  const option = `--${'x'.repeat(120_000)}`;
  const out = await shell(`{ $C network rm ${option} 2>&1 >&3 | ${SLOW}; } 3>/dev/null; echo "\${PIPESTATUS[0]}"`);
  expect(out).toMatch(/^overlayd: unknown option '--x{120000}'\nSee 'overlayd network rm --help'\.\n/);
});

test('a reader that has seen enough is no failure, and gets no words about it', async () => {
  count = 2_500;
  expect(await shell(`$C endpoint ls --format json 2>&1 | head -c 1; echo " \${PIPESTATUS[0]}"`)).toBe('[ 0\n');
  const nobody = '{ { $C network rm x 2>&1 >/dev/null; echo $? >&3; } | true; } 3>&1';
  expect(await shell(nobody)).toBe('1\n');
});

test('what goes on without end ends with its reader', async () => {
  expect(await shell(`$C events -f --format '{{.Type}}' 2>&1 | head -1; echo "\${PIPESTATUS[0]}"`)).toBe(
    'network-created\n0\n',
  );
});

test('output that a full disk does not take is a failure', async () => {
  count = 2_500;
  const out = await shell('$C endpoint ls --format json 2>&1 >/dev/full; echo $?');
  expect(out).toMatch(/^overlayd: the output could not be written whole: ENOSPC.*\n1\n$/);
});
