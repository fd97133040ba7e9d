/**
 * A container that is started again has another namespace, under the same name. Its tool may connect it before anybody has found out
 * that the former one is gone: what is left of that must not stand in the way.
 */
import type { ContainerRef, LocalEndpoint } from '../../core/container.ts';
import { isOfHost } from '../../core/expose.ts';
import type { NetworkRecord } from '../../core/records.ts';
import type { Containers } from '../../ports/host.ts';
import type { LocalEndpoints } from './local-endpoints.ts';

export interface GoneInTheWayDeps {
  readonly local: Pick<LocalEndpoints, 'onNetwork'>;
  readonly containers: Pick<Containers, 'isAlive'>;
}

/** Endpoints of this host on the network with that name, or of a former container of that text, whose namespace is proved gone. */
export async function goneInTheWay(
  { local, containers }: GoneInTheWayDeps,
  network: NetworkRecord,
  container: ContainerRef,
  name: string,
): Promise<LocalEndpoint[]> {
  const inTheWay = local
    .onNetwork(network.id)
    // The host itself has no namespace that could be gone.
    .filter((each) => !each.engine && !isOfHost(each) && each.container.identity !== container.identity)
    .filter(
      ({ container: other, record }) =>
        other.text === container.text || record.name.toLowerCase() === name.toLowerCase(),
    );
  const alive = await Promise.all(inTheWay.map(({ container: other }) => containers.isAlive(other)));
  return inTheWay.filter((_, at) => !alive[at]);
}
