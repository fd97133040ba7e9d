/** The command `overlayd`: argv to exit code. */
import { loadRunDir } from './adapters/config-file.ts';
import { runCommand } from './cli/program.ts';
import type { Surroundings } from './cli/session.ts';

const surroundings: Surroundings = {
  writeOut: (output) => process.stdout.write(output),
  writeError: (output) => process.stderr.write(output),
  terminal: {
    // Few commands ask, and to look at standard input is to open it.
    get input() {
      return process.stdin.isTTY === true;
    },
    output: process.stdout.isTTY === true,
    error: process.stderr.isTTY === true,
  },
  columns: process.stdout.columns ?? process.stderr.columns ?? 80,
  environment: process.env,
  // What few commands need is loaded by those.
  async readFile(path) {
    if (path === '-') return (await import('node:stream/consumers')).text(process.stdin);
    return (await import('node:fs/promises')).readFile(path, 'utf8');
  },
  async ask(question) {
    const { createInterface } = await import('node:readline/promises');
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    // The end of input answers nothing.
    const ended = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
    try {
      return await Promise.race([terminal.question(question), ended]);
    } finally {
      terminal.close();
    }
  },
  now: () => Date.now(),
  runDir: (flags) => loadRunDir(flags, process.env),
  connect: async (socketPath) => (await import('./adapters/grpc/control.ts')).createControlClient(socketPath),
  async runAgent(args) {
    const name = import.meta.filename.endsWith('.ts') ? 'agent-main.ts' : 'agent.cjs';
    const file = `${import.meta.dirname}/${name}`;
    process.argv = [process.argv[0]!, file, ...args];
    await import(file);
    await new Promise(() => {});
  },
};

// A reader that has seen enough (`overlayd … | head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

void runCommand(process.argv.slice(2), surroundings).then((code) => process.exit(code));
