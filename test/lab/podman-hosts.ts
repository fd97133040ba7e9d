import type { Host } from './host.ts';
import type { Lab } from './lab.ts';
import { PODMAN_FLAGS, Podman } from './podman.ts';

const podmans = new WeakMap<Host, Podman>();

/** Of a host that {@link withPodman} has prepared. */
export function podmanOf(host: Host): Podman {
  const podman = podmans.get(host);
  if (podman === undefined) throw new Error(`${host.name} has no Podman`);
  return podman;
}

/** For `useLab`: every host gets Podman, and an agent that knows where it is. */
export async function withPodman({ hosts }: Lab): Promise<void> {
  await Promise.all(
    hosts.map(async (host) => {
      const podman = new Podman(host);
      await podman.start();
      podmans.set(host, podman);
      await host.agent.stop();
      await host.agent.start(['--log-level', 'debug', ...PODMAN_FLAGS]);
    }),
  );
}
