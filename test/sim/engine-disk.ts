/** What a killed engine finds again, and how its users name what is in there. */
import { mendHosts, type OwnAddresses } from '../../src/core/engine/hosts-file.ts';
import { type FakeContainer, hostsPathOf, refused } from './fake-containers.ts';
import type { EndpointObject, NetworkObject } from './fake-libnetwork.ts';

/** All by id. */
export class EngineDisk {
  readonly containers = new Map<string, FakeContainer>();
  readonly objects = new Map<string, NetworkObject>();
  readonly endpoints = new Map<string, EndpointObject>();

  /** A container by name, id or unique beginning of the id. */
  find(ref: string): FakeContainer | undefined {
    const all = [...this.containers.values()];
    const begun = all.filter(({ id }) => id.startsWith(ref));
    return all.find(({ id, name }) => id === ref || name === ref) ?? (begun.length === 1 ? begun[0] : undefined);
  }

  require(ref: string): FakeContainer {
    const found = this.find(ref);
    if (found) return found;
    throw refused(`no such container: ${ref}`);
  }

  /** Networks without those that are being removed, though the drivers of some have not been told yet. */
  listed(): NetworkObject[] {
    return [...this.objects.values()].filter(({ removing }) => !removing);
  }

  /** What the agent does to a container's hosts file. */
  mendHosts(path: string, own: OwnAddresses): number {
    const container = [...this.containers.values()].find(({ id }) => hostsPathOf(id) === path);
    const overwrites = mendHosts(container?.hosts ?? '', own);
    for (const { offset, after } of overwrites) {
      const { hosts } = container!;
      container!.hosts = hosts.slice(0, offset) + after + hosts.slice(offset + after.length);
    }
    return overwrites.length;
  }

  /** A network by name or id. */
  network(name: string): NetworkObject {
    const known = this.objects.get(name);
    if (known) return known;
    const [found, ...more] = this.listed().filter((each) => each.name === name);
    if (more.length > 0) throw refused(`network ${name} is ambiguous (${more.length + 1} matches found on name)`);
    if (found) return found;
    throw refused(`network ${name} not found`);
  }
}
