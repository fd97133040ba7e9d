import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Host, PATH } from '../lab/host.ts';
import { start } from '../lab/process.ts';

const PROGRAM = fileURLToPath(new URL('programs/sighting.ts', import.meta.url));

/** When, by the monotonic clock. */
export interface Sighting {
  readonly at: number;
  readonly reachedAt: number;
}

/** A process in a container that says when a name is there or gone; see `programs/sighting.ts`. */
export class Lookout {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  }

  /** `enter`: what runs a command in the container, inside the host. */
  static async start(host: Host, enter: readonly string[], server: string): Promise<Lookout> {
    const stdio = ['pipe', 'pipe', 'inherit'] as const;
    const argv = host.enter([...enter, 'node', PROGRAM, server]);
    const lookout = new Lookout(start(argv, { stdio: [...stdio], env: { ...process.env, PATH } }));
    await lookout.#line();
    return lookout;
  }

  /** One at a time. It looks from this call on. */
  async see(wanted: 'there' | 'gone', name: string): Promise<Sighting> {
    this.#child.stdin!.write(`${wanted} ${name}\n`);
    return JSON.parse(await this.#line()) as Sighting;
  }

  close(): void {
    this.#child.stdin!.end();
  }

  async #line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error('a lookout ended');
    return value;
  }
}

/** All see it; the last one's times count. */
export async function seenByAll(
  lookouts: readonly Lookout[],
  wanted: 'there' | 'gone',
  name: string,
): Promise<Sighting> {
  const sightings = await Promise.all(lookouts.map((lookout) => lookout.see(wanted, name)));
  return {
    at: Math.max(...sightings.map(({ at }) => at)),
    reachedAt: Math.max(...sightings.map(({ reachedAt }) => reachedAt)),
  };
}

/** In a container of `ip netns`. */
export function inNamespace(container: string): readonly string[] {
  return ['ip', 'netns', 'exec', container];
}

/** In the network namespace of an engine's container. */
export async function inEngineContainer(host: Host, container: string): Promise<readonly string[]> {
  const pid = await host.engine.mustDocker('inspect', '--format', '{{.State.Pid}}', container);
  return ['nsenter', '-t', pid, '-n'];
}
