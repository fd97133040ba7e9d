import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.ts';
import { type InsideProcess, startInside } from '../lab/inside-process.ts';

const PROGRAM = fileURLToPath(new URL('programs/sighting.ts', import.meta.url));

/** When, by the monotonic clock. */
export interface Sighting {
  readonly at: number;
  readonly reachedAt: number;
}

/** A process in a container that says when a name is there or gone; see `programs/sighting.ts`. */
export interface Lookout {
  /** One at a time. It looks from this call on. */
  see(wanted: 'there' | 'gone', name: string): Promise<Sighting>;
  close(): void;
}

/** `enter`: what runs a command in the container, inside the host. */
export async function openLookout(host: Host, enter: readonly string[], server: string): Promise<Lookout> {
  const program: InsideProcess = await startInside(host, [...enter, 'node', PROGRAM, server]);
  return {
    async see(wanted, name) {
      program.order(`${wanted} ${name}`);
      return JSON.parse(await program.line()) as Sighting;
    },
    close: () => program.end(),
  };
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
