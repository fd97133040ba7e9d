/** What stands for this host's Podman in the agent. */
import { createPodmanContainers } from './adapters/podman/containers.ts';
import { createPodmanHealth } from './adapters/podman/health.ts';
import { createNetworkFiles } from './adapters/podman/network-files.ts';
import { PodmanSide, type PodmanSideDeps } from './agent/podman/podman-side.ts';
import { withdrawFromPodman } from './agent/podman/withdraw.ts';
import type { Config } from './core/config/option.ts';
import type { Logger } from './ports/runtime.ts';

export interface PodmanParts extends Omit<PodmanSideDeps, 'files' | 'containers' | 'health'> {
  readonly config: Pick<Config, 'podmanNetworks' | 'podmanPlugin' | 'podmanStorage'>;
}

export function composePodman({ config, ...parts }: PodmanParts) {
  const files = createNetworkFiles({ folder: config.podmanNetworks, plugin: config.podmanPlugin });
  const containers = createPodmanContainers({ graphRoot: config.podmanStorage });
  return { side: new PodmanSide({ ...parts, files, containers, health: createPodmanHealth() }) };
}

/** For a host that leaves. */
export function withdrawalFromPodman(
  { podmanNetworks, podmanPlugin }: Pick<Config, 'podmanNetworks' | 'podmanPlugin'>,
  logger: Logger,
): () => Promise<void> {
  const files = createNetworkFiles({ folder: podmanNetworks, plugin: podmanPlugin });
  return async () => {
    await withdrawFromPodman(files).catch((error: unknown) => {
      logger.warn({ error }, 'networks could not be removed from Podman');
    });
  };
}
