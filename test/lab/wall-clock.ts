import { execFileSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from './host.ts';

/** Of Debian's package `libfaketime`, wherever the architecture has it. */
const LIBRARIES = '/usr/lib/*/faketime/libfaketime.so.1';
const ETCD = '/usr/bin/etcd';
/** By the name that qemu has for this machine's own processor. */
const EMULATOR = `/usr/bin/qemu-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}`;

/**
 * A wall clock of its own for what a host runs by way of the C library: its agent from the next start on, and commands with
 * {@link env}. The monotonic clock stays the machine's. Go's programs ask the kernel themselves and are not reached; the
 * host's etcd is, where it can be run in an emulator that asks by way of the C library (see {@link reachesEtcd}).
 */
export class WallClock {
  readonly env: Readonly<Record<string, string>>;
  /** Else it keeps the machine's clock: Debian's `qemu-user` is a static program from 13 on, and asks the kernel. */
  readonly reachesEtcd: boolean;
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
    this.setOff(-YEARS_MS);
    this.reachesEtcd = this.#isEmulated();
    this.setOff(0);
    const exports = Object.entries(this.env).map(([name, value]) => `export ${name}='${value}'`);
    const write = (path: string, ...lines: readonly string[]) =>
      writeFileSync(path, ['#!/bin/bash', ...lines, ''].join('\n'), { mode: 0o755 });
    const programs = join(host.directory, 'by-its-clock');
    mkdirSync(programs, { recursive: true });
    // Its agent knows it by this name.
    if (this.reachesEtcd) write(join(programs, 'etcd'), ...exports, `exec -a etcd ${EMULATOR} ${ETCD} "$@"`);
    const program = join(host.directory, 'overlayd-by-its-clock');
    write(program, `export PATH='${programs}':"$PATH"`, ...exports, 'exec overlayd "$@"');
    host.agent.install(program);
  }

  /** From now on it is off by so much. A program notices within a second. */
  setOff(ms: number): void {
    const seconds = Math.round(ms / 1_000);
    writeFileSync(`${this.#file}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }

  /** A static program, which has nothing of the library itself, is told a year of long ago. */
  #isEmulated(): boolean {
    if (!existsSync(EMULATOR) || !existsSync(ETCD)) return false;
    const year = execFileSync(EMULATOR, ['/bin/busybox', 'date', '+%Y'], { env: this.env, encoding: 'utf8' });
    return Number(year) < new Date().getFullYear() - 10;
  }
}

const YEARS_MS = 20 * 365 * 86_400_000;
