import { clusterIdOf } from '../../core/podman/network-file.ts';
import type { PodmanNetworkFiles } from '../../ports/podman.ts';

/** Takes all of our networks out of Podman, for a host that leaves. */
export async function withdrawFromPodman(files: PodmanNetworkFiles): Promise<void> {
  for (const network of await files.list()) if (clusterIdOf(network) !== undefined) await files.remove(network);
}
