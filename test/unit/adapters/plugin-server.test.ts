import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { serveTools } from '../../../src/adapters/plugin-server.ts';
import { OverlaydError } from '../../../src/core/errors.ts';
import { SILENT, type Telemetry } from '../../../src/core/telemetry.ts';
import type { Logger } from '../../../src/ports/runtime.ts';
import type { ToolCall, ToolDoor } from '../../../src/ports/tools.ts';
import { VirtualClock } from '../../sim/virtual-clock.ts';

/** The program that tools run, as it is installed: with the socket's path in it. */
const PROGRAM = fileURLToPath(new URL('../../../deploy/shims/overlayd.pl', import.meta.url));

let directory: string;
let socket: string;
let program: string;
let quit: AbortController;
let clock: VirtualClock;
let ended: Promise<void> | undefined;

const silent: Logger = { error() {}, warn() {}, info() {}, debug() {}, child: () => silent };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlayd-tools-'));
  socket = join(directory, 'plugins.sock');
  program = join(directory, 'overlayd');
  const text = readFileSync(PROGRAM, 'utf8').replace('/run/overlayd/plugins.sock', socket);
  // What the program waits for is not waited for in tests.
  writeFileSync(program, text.replace('$tries = 50', '$tries = 2'), { mode: 0o755 });
  quit = new AbortController();
  clock = new VirtualClock();
});

afterEach(async () => {
  quit.abort();
  await ended;
  ended = undefined;
  rmSync(directory, { recursive: true });
});

/** What it is asked is kept; answers and refuses in words that say so. */
class Door implements ToolDoor {
  readonly calls: ToolCall[] = [];
  readonly #handle: ToolDoor['handle'];

  constructor(handle: ToolDoor['handle'] = async () => 'answer\n') {
    this.#handle = handle;
  }

  handle(call: ToolCall, signal: AbortSignal): Promise<string> {
    this.calls.push(call);
    return this.#handle(call, signal);
  }

  refuse({ code, message }: OverlaydError, { verb }: ToolCall): string {
    return `${verb}: ${code}: ${message}\n`;
  }
}

async function serve(doors: Record<string, ToolDoor>, telemetry?: Telemetry): Promise<void> {
  const deps = { doors, clock, logger: silent, ...(telemetry && { telemetry }) };
  ({ ended } = await serveTools(deps, { path: socket }, quit.signal));
}

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(args: readonly string[], env: Record<string, string>, input: string): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { PATH: process.env.PATH, ...env } });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      stderr += chunk;
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 137, stdout, stderr }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

it('each call is told to who measures them, with how it ended', async () => {
  const steps: string[] = [];
  const telemetry: Telemetry = {
    ...SILENT,
    async run(step, labels, task, isWell) {
      const result = await task();
      steps.push([step, ...Object.values(labels), isWell?.(result)].join(' '));
      return result;
    },
  };
  await serve(
    { cni: new Door(), podman: new Door(() => Promise.reject(new OverlaydError('conflict', 'no'))) },
    telemetry,
  );
  await run([], { CNI_COMMAND: 'ADD' }, '{}');
  await run(['setup', '/run/netns/x'], {}, '{}');
  expect(steps).toEqual(['tool cni ADD true', 'tool podman setup false']);
});

describe('the program that tools run', () => {
  it('hands over what CNI gave it, byte by byte, and prints the answer', async () => {
    const door = new Door(async () => '{"it":"works ü"}\n');
    await serve({ cni: door });
    const env = {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'default-a1',
      CNI_NETNS: '/proc/42/ns/net',
      CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=ä & "b"=%\n',
      SECRET: 'of nobody else',
    };
    const input = `{"cniVersion":"1.0.0","name":"web","text":"ü ${'x'.repeat(200_000)}"}`;
    expect(await run([], env, input)).toEqual({ code: 0, stdout: '{"it":"works ü"}\n', stderr: '' });
    const { SECRET: _, ...ofCni } = env;
    expect(door.calls).toEqual([{ verb: 'ADD', args: [], env: ofCni, input }]);
  });

  it('hands over the arguments of a netavark plugin', async () => {
    const door = new Door();
    await serve({ podman: door });
    expect(await run(['setup', '/run/netns/a b'], {}, '{}')).toMatchObject({ code: 0, stdout: 'answer\n' });
    expect(door.calls).toEqual([{ verb: 'setup', args: ['/run/netns/a b'], env: {}, input: '{}' }]);
  });

  it("prints a refusal in the tool's words, and ends with 1", async () => {
    await serve({
      cni: new Door(() => Promise.reject(new OverlaydError('network-not-found', 'no network "web"'))),
    });
    const outcome = await run([], { CNI_COMMAND: 'ADD' }, '{}');
    expect(outcome).toEqual({ code: 1, stdout: 'ADD: network-not-found: no network "web"\n', stderr: '' });
  });

  it.each([
    ['ADD', 11],
    ['DEL', 11],
    ['STATUS', 50],
  ])('says for %s how to start an agent that is away', async (command, code) => {
    const outcome = await run([], { CNI_COMMAND: command }, '{ "cniVersion" : "1.1.0" }');
    expect(outcome.code).toBe(1);
    expect(JSON.parse(outcome.stdout)).toEqual({
      cniVersion: '1.1.0',
      code,
      msg: expect.stringMatching(/does not answer at .*plugins.sock .*systemctl start overlayd/),
    });
  });

  it('says the same to Podman', async () => {
    const { code, stdout } = await run(['create'], {}, '{}');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({ error: expect.stringContaining('systemctl start overlayd') });
  });

  it('waits for an agent that is being started', async () => {
    writeFileSync(program, readFileSync(program, 'utf8').replace('$tries = 2', '$tries = 600'), { mode: 0o755 });
    const running = run([], { CNI_COMMAND: 'DEL' }, '{}');
    const door = new Door(async () => '');
    await serve({ cni: door });
    expect(await running).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('does not take half an answer for one', async () => {
    const broken: Server = createServer((connection) => {
      connection.once('data', () => connection.end('HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"half":'));
      connection.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => broken.listen(socket, resolve));
    const { code, stdout } = await run([], { CNI_COMMAND: 'ADD' }, '{"cniVersion":"0.4.0"}');
    await new Promise((resolve) => broken.close(resolve));
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ cniVersion: '0.4.0', code: 11, msg: expect.stringContaining('again') });
  });

  it('says what it is to who runs it by hand', async () => {
    const { code, stdout, stderr } = await run([], {}, '');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain('a container tool runs this program');
  });
});

describe('the server', () => {
  it('is for root alone', async () => {
    await serve({});
    expect(statSync(socket).mode & 0o777).toBe(0o600);
  });

  it('knows the tools that it serves', async () => {
    await serve({ cni: new Door() });
    const { code, stdout } = await run(['setup'], {}, '{}');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({ error: expect.stringContaining('podman install') });
  });

  it('ends a call that takes too long', async () => {
    const asked = Promise.withResolvers<void>();
    await serve({
      cni: new Door((_call, signal) => {
        asked.resolve();
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      }),
    });
    const running = run([], { CNI_COMMAND: 'ADD' }, '{}');
    await asked.promise;
    await clock.advance(12_000);
    expect(await running).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('cni ADD was not done within 12 s'),
    });
  });

  it('refuses what is larger than any call', async () => {
    const door = new Door();
    await serve({ cni: door });
    const outcome = await run([], { CNI_COMMAND: 'ADD' }, 'x'.repeat(2 ** 20 + 1));
    expect(outcome).toMatchObject({ code: 1, stdout: expect.stringContaining('larger than 1 MiB') });
    expect(door.calls).toEqual([]);
  });

  it('tells who is being answered when it ends', async () => {
    const asked = Promise.withResolvers<void>();
    await serve({
      cni: new Door((_call, signal) => {
        asked.resolve();
        return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
      }),
    });
    const running = run([], { CNI_COMMAND: 'DEL' }, '{}');
    await asked.promise;
    quit.abort();
    expect(await running).toMatchObject({ code: 1, stdout: expect.stringContaining('the overlayd agent stops') });
  });
});
