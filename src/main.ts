/** The command `overlayd`: argv to exit code. */
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { loadRunDir } from './adapters/config-file.ts';
import { runCommand } from './cli/program.ts';
import type { Surroundings } from './cli/session.ts';

const surroundings: Surroundings = {
  writeOut: (output) => process.stdout.write(output),
  writeError: (output) => process.stderr.write(output),
  terminal: {
    input: process.stdin.isTTY === true,
    output: process.stdout.isTTY === true,
    error: process.stderr.isTTY === true,
  },
  columns: process.stdout.columns ?? process.stderr.columns ?? 80,
  environment: process.env,
  readFile: (path) => (path === '-' ? text(process.stdin) : readFile(path, 'utf8')),
  async ask(question) {
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
  // gRPC takes longer to load than everything else: not before it is needed.
  connect: async (socketPath) => (await import('./adapters/grpc/control.ts')).createControlClient(socketPath),
  async runAgent(args) {
    const file = new URL(import.meta.url.endsWith('.ts') ? 'agent-main.ts' : 'agent.cjs', import.meta.url);
    process.argv = [process.argv[0]!, fileURLToPath(file), ...args];
    await import(file.href);
    await new Promise(() => {});
  },
};

// A reader that has seen enough (`overlayd … | head -1`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));

void runCommand(process.argv.slice(2), surroundings).then((code) => process.exit(code));
