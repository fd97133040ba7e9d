/** A network namespace of the test's own, and what iproute2 says of it. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { addNamespace, deleteNamespace } from '../../../src/adapters/native/namespace.ts';

/** Of JSON. */
export type Row = Readonly<Record<string, unknown>>;

export class TestNamespace {
  readonly name: string;
  readonly path: string;

  constructor(name: string) {
    this.name = `ovn-${name}-${process.pid}`;
    this.path = `/run/netns/${this.name}`;
    addNamespace(this.path);
    this.ip('link', 'set', 'lo', 'up');
  }

  /** Output of `ip`, text. */
  ip(...args: readonly string[]): string {
    return run('ip', ['-netns', this.name, ...args]);
  }

  /** What `ip -details -json` says. */
  ipRows(...args: readonly string[]): Row[] {
    return rows(this.ip('-details', '-json', ...args));
  }

  bridgeRows(...args: readonly string[]): Row[] {
    return rows(run('bridge', ['-netns', this.name, '-details', '-json', ...args]));
  }

  exec(...argv: readonly string[]): string {
    return run('ip', ['netns', 'exec', this.name, ...argv]);
  }

  remove(): void {
    if (existsSync(this.path)) deleteNamespace(this.path);
  }
}

function run(tool: string, args: readonly string[]): string {
  return execFileSync(tool, [...args], { encoding: 'utf8', maxBuffer: 2 ** 28 });
}

function rows(json: string): Row[] {
  return json.trim() === '' ? [] : (JSON.parse(json) as Row[]).filter((row) => Object.keys(row).length > 0);
}
