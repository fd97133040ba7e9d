/** The command `overlayd`: argv to exit code. */
import { type CommandSettings, loadForCommand } from './adapters/config-file.ts';
import { createCallClient } from './adapters/grpc/control-call.ts';
import { hostFiles } from './adapters/host-files.ts';
import { createHostPrograms } from './adapters/host-programs.ts';
import { Interruption } from './adapters/interruption.ts';
import { Output } from './adapters/output.ts';
import type { Traces } from './adapters/traces/exporter.ts';
import { EXIT } from './cli/exit.ts';
import { runCommand } from './cli/program.ts';
import type { Surroundings } from './cli/session.ts';
import type * as UiMain from './ui-main.ts';
import { VERSION } from './version.ts';

const out = new Output(() => process.stdout);
const errors = new Output(() => process.stderr);

/** A command has one set of flags. */
let settings: Promise<CommandSettings> | undefined;

function settingsOf(flags: ReadonlyMap<string, string>): Promise<CommandSettings> {
  settings ??= loadForCommand(flags, process.env);
  return settings;
}

/** Open once the agent was asked, where traces are on. */
let traces: Traces | undefined;
/** Whoever gave a command does not wait for a collector that says nothing. */
const TRACES_MS = 300;

const interruption = new Interruption();

/** Bundled, the programs lie beside this one. */
const fromSource = import.meta.filename.endsWith('.ts');

const surroundings: Surroundings = {
  writeOut: (text) => out.write(text),
  writeError: (text) => errors.write(text),
  unread: out.unread,
  terminal: {
    // Few commands ask, and to look at standard input is to open it.
    get input() {
      return process.stdin.isTTY === true;
    },
    get output() {
      return process.stdout.isTTY === true;
    },
    get error() {
      return process.stderr.isTTY === true;
    },
  },
  get columns() {
    return process.stdout.columns ?? process.stderr.columns ?? 80;
  },
  environment: process.env,
  // What few commands need is loaded by those.
  async readFile(path) {
    if (path === '-') return (await import('node:stream/consumers')).text(process.stdin);
    return (await import('node:fs/promises')).readFile(path, 'utf8');
  },
  async writeFile(path, text) {
    const { rename, stat, writeFile } = await import('node:fs/promises');
    // A device or a pipe is written to, not replaced.
    const isSpecial = await stat(path).then(
      (found) => !found.isFile(),
      () => false,
    );
    if (isSpecial) return writeFile(path, text);
    const partial = `${path}.partial`;
    await writeFile(partial, text, { mode: 0o600, flush: true });
    await rename(partial, path);
  },
  files: hostFiles,
  programs: {
    ...createHostPrograms(
      fromSource
        ? [process.execPath, `${import.meta.dirname}/agent-main.ts`]
        : [`${import.meta.dirname}/../overlayd`, 'agent'],
    ),
    // `src/main.ts`, or `dist/lib/cli.cjs`.
    root: import.meta.dirname.replace(fromSource ? /\/src$/ : /\/dist\/lib$/, ''),
  },
  async toolProgram() {
    const name = fromSource ? '../deploy/shims/overlayd.pl' : 'overlayd.pl';
    return (await import('node:fs/promises')).readFile(`${import.meta.dirname}/${name}`, 'utf8');
  },
  async ask(question) {
    const { createInterface } = await import('node:readline/promises');
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    let isInterrupted = false;
    terminal.once('SIGINT', () => {
      isInterrupted = true;
      terminal.close();
    });
    // The end of input answers nothing.
    const ended = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
    try {
      return await Promise.race([terminal.question(question), ended]);
    } finally {
      terminal.close();
      // As anywhere else, now that the terminal is as it was.
      if (isInterrupted) process.kill(process.pid, 'SIGINT');
    }
  },
  now: () => Date.now(),
  sleep: async (ms) => (await import('node:timers/promises')).setTimeout(ms),
  untilInterrupted: (work) => interruption.until(work),
  runDir: async (flags) => (await settingsOf(flags)).runDir,
  async connect(socketPath, flags) {
    const { traces: url } = await settingsOf(flags);
    if (url !== undefined) {
      const { openTraces } = await import('./adapters/traces/exporter.ts');
      // A collector that is away is no concern of who gives a command.
      traces = openTraces({ onFailure: () => undefined }, { url, version: VERSION, part: 'command' });
    }
    const tracer = traces?.tracer;
    const older = async () =>
      (await import('./adapters/grpc/control.ts')).createControlClient(socketPath, undefined, tracer);
    return createCallClient(socketPath, { older, tracer });
  },
  openRemote: async (target, signal) => (await import('./adapters/remote-shell.ts')).openRemoteShell(target, signal),
  async runAgent(args) {
    const name = fromSource ? 'agent-main.ts' : 'agent.cjs';
    const file = `${import.meta.dirname}/${name}`;
    process.argv = [process.argv[0]!, file, ...args];
    await import(file);
    await new Promise(() => {});
  },
  async runUi(options) {
    const file = `${import.meta.dirname}/${fromSource ? 'ui-main.ts' : 'ui.cjs'}`;
    const ended = new AbortController();
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => ended.abort());
    // What a page shows is no hurry; names and containers on this host are. Its program is the first large thing to be read.
    (await import('./adapters/system/background.ts')).stayInBackground();
    const { runUi }: typeof UiMain = await import(file);
    await runUi(options, ended.signal);
  },
};

async function main(): Promise<never> {
  const code = await runCommand(process.argv.slice(2), surroundings);
  await traces?.flush(TRACES_MS);
  const failure = await out.drain();
  if (failure) errors.write(`overlayd: the output could not be written whole: ${failure.message}\n`);
  await errors.drain();
  // A shell that runs it in a loop ends the loop.
  if (interruption.by !== undefined && code !== EXIT.ok) process.kill(process.pid, interruption.by);
  process.exit(failure && code === EXIT.ok ? EXIT.failure : code);
}

void main();
