/** What every command has at hand: where to write, whom to ask, and the agent once it is needed. */

import { CONFIG_FLAG } from '../core/config/option.ts';
import { isOverlaydError } from '../core/errors.ts';
import type { OpenRemoteShell } from '../ports/remote.ts';
import type { UiOptions } from '../ui-main.ts';
import type { ControlClient, OnProgress } from './client.ts';
import { UsageError } from './exit.ts';
import { withProgress } from './progress.ts';
import { printable } from './table.ts';

/** The outside of a command, given by `main.ts` and replaced in tests. */
export interface Surroundings {
  readonly writeOut: (text: string) => void;
  readonly writeError: (text: string) => void;
  /** Which of the three are terminals. */
  readonly terminal: { readonly input: boolean; readonly output: boolean; readonly error: boolean };
  readonly columns: number;
  /** Aborts when nobody is left to read what is written. */
  readonly unread: AbortSignal;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Text of a file, of standard input for `-`. */
  readonly readFile: (path: string) => Promise<string>;
  /** For the owner's eyes alone. What is there is replaced, by the whole of it or not at all. */
  readonly writeFile: (path: string, text: string) => Promise<void>;
  readonly files: HostFiles;
  readonly programs: HostPrograms;
  /** Text of the program that container tools run. */
  readonly toolProgram: () => Promise<string>;
  /** One line from the person at the terminal. */
  readonly ask: (question: string) => Promise<string>;
  readonly now: () => number;
  readonly sleep: (ms: number) => Promise<void>;
  /** The signal is aborted when somebody interrupts the command; the work then cleans up after itself, and ends. */
  readonly untilInterrupted: <T>(work: (signal: AbortSignal) => Promise<T>) => Promise<T>;
  /** Directory of the agent's socket, out of `--run-dir`, `--config` and the environment. */
  readonly runDir: (flags: ReadonlyMap<string, string>) => Promise<string>;
  /** `flags` as of `runDir`. */
  readonly connect: (socketPath: string, flags: ReadonlyMap<string, string>) => Promise<ControlClient>;
  /** Another host, by ssh. */
  readonly openRemote: OpenRemoteShell;
  /** Runs the agent in this process. */
  readonly runAgent: (args: readonly string[]) => Promise<void>;
  /** Serves the page, until it is interrupted. */
  readonly runUi: (options: UiOptions) => Promise<void>;
}

/** Files of this host that other programs read. */
export interface HostFiles {
  /** Undefined when there is none. */
  read(path: string): Promise<string | undefined>;
  /** In bytes; undefined when there is none. */
  size(path: string): Promise<number | undefined>;
  /** Names of what is in a directory; none where there is no such directory. */
  list(directory: string): Promise<readonly string[]>;
  /** With the directories that lead to it. What is there is replaced, by the whole of it or not at all. */
  install(path: string, text: string, mode: number): Promise<void>;
  /** Whether it was there. */
  remove(path: string): Promise<boolean>;
}

/** What a command starts on this host, and what it takes away with all that is in it. */
export interface HostPrograms {
  /** The command line that runs the agent. */
  readonly agent: readonly string[];
  /** Where the programs lie: a checkout, or what the package or the archive unpacked. */
  readonly root: string;
  /** Whatever its exit code; undefined when there is no such program. */
  run(argv: readonly string[]): Promise<{ readonly code: number | undefined; readonly output: string }>;
  /** Resolves when it answers at the socket. Throws `agent-not-running` with its own words when it ends before. */
  startAgent(args: readonly string[], socketPath: string): Promise<{ stop(): Promise<void> }>;
  /** A new one, for this user alone. Who asked for it removes it. */
  temporaryDirectory(): Promise<string>;
  /** Whether it was there. */
  removeTree(path: string): Promise<boolean>;
}

export interface GlobalOptions {
  readonly runDir?: string;
  readonly config?: string;
}

export class Session {
  readonly surroundings: Surroundings;
  readonly #globals: () => GlobalOptions;

  constructor(surroundings: Surroundings, options: { readonly globals: () => GlobalOptions }) {
    this.surroundings = surroundings;
    this.#globals = options.globals;
  }

  /** `--run-dir` and `--config` as given, by flag. */
  globalFlags(): ReadonlyMap<string, string> {
    const { runDir, config } = this.#globals();
    return new Map([
      ...(runDir === undefined ? [] : [['--run-dir', runDir] as const]),
      ...(config === undefined ? [] : [[CONFIG_FLAG, config] as const]),
    ]);
  }

  /** Asks the agent; `waiting` says what for, should it take longer than people like to wait in silence. */
  ask<T>(waiting: string, work: (client: ControlClient, report: OnProgress) => Promise<T>): Promise<T> {
    return this.hear((client) => withProgress(this.surroundings, waiting, (report) => work(client, report)));
  }

  /** For what goes on as long as people let it. */
  async hear<T>(work: (client: ControlClient) => Promise<T>): Promise<T> {
    const client = await this.surroundings.connect(await this.socketPath(), this.globalFlags());
    try {
      return await work(client);
    } finally {
      client.close();
    }
  }

  /** The same; where no agent runs, of one that is started for it and ended afterwards. */
  async askAnyway<T>(waiting: string, work: (client: ControlClient, report: OnProgress) => Promise<T>): Promise<T> {
    try {
      return await this.ask(waiting, work);
    } catch (error) {
      if (!isOverlaydError(error, 'agent-not-running')) throw error;
    }
    this.note('no agent runs on this host: one is started for this');
    const flags = [...this.globalFlags()].flat();
    const agent = await this.surroundings.programs.startAgent(flags, await this.socketPath());
    try {
      return await this.ask(waiting, work);
    } finally {
      await agent.stop();
    }
  }

  /** One line on standard output. */
  print(line: string): void {
    this.surroundings.writeOut(`${line}\n`);
  }

  /** One line on standard error. */
  note(line: string): void {
    this.surroundings.writeError(`${line}\n`);
  }

  warn(warnings: readonly string[]): void {
    for (const warning of warnings) this.note(`warning: ${printable(warning)}`);
  }

  /** True when the person agrees. Without one to ask, refuses and names the flag that agrees beforehand. */
  async confirm(warning: string, flag: string): Promise<boolean> {
    if (!this.surroundings.terminal.input) {
      throw new UsageError(`there is no terminal to ask for confirmation; add ${flag} to go ahead`);
    }
    const answer = await this.surroundings.ask(`${warning}\nGo ahead? [y/N] `);
    return /^y(es)?$/i.test(answer.trim());
  }

  /** Of the agent. */
  async socketPath(): Promise<string> {
    return `${await this.surroundings.runDir(this.globalFlags())}/overlayd.sock`;
  }
}
