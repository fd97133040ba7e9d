import { globSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from './host.ts';

/** Of Debian's package `libfaketime`, wherever the architecture has it. */
const LIBRARIES = '/usr/lib/*/faketime/libfaketime.so.1';

/**
 * A wall clock of its own for what a host runs by way of the C library: its agent from the next start on, and commands with
 * {@link env}. The monotonic clock stays the machine's. Go's programs, etcd among them, ask the kernel themselves and are not reached.
 */
export class WallClock {
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;

  constructor(host: Host) {
    const [library] = globSync(LIBRARIES);
    if (library === undefined) throw new Error(`there is no ${LIBRARIES}: apt-get install faketime`);
    this.#file = join(host.directory, 'wall-clock');
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      // How long an offset that was read counts, in seconds.
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
      FAKETIME_DISABLE_SHM: '1',
    };
    this.setOff(0);
    const program = join(host.directory, 'overlayd-by-its-clock');
    const exports = Object.entries(this.env).map(([name, value]) => `export ${name}='${value}'`);
    writeFileSync(program, `#!/bin/sh\n${exports.join('\n')}\nexec overlayd "$@"\n`, { mode: 0o755 });
    host.agent.install(program);
  }

  /** From now on it is off by so much. A program notices within a second. */
  setOff(ms: number): void {
    const seconds = Math.round(ms / 1_000);
    writeFileSync(`${this.#file}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }
}
