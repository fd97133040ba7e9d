/** Containers of a simulated host, as the agent looks them up. */
import { type ContainerRef, isHandedOver } from '../../src/core/container.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import type { Containers } from '../../src/ports/host.ts';

interface HostOfContainers {
  readonly kernel: { hasContainer(path: string): boolean };
  /** Name servers in the resolver files of its containers, by container. */
  readonly resolvers: Map<string, readonly string[]>;
  /** Those that a tool knows by a name of its own: as they are written, and the container that it is now. */
  readonly named: ReadonlyMap<string, string>;
  identityOf(path: string): string;
}

export function hostContainers(host: HostOfContainers): Containers {
  const { kernel, resolvers } = host;
  const identityOf = (path: string) => host.identityOf(path);
  return {
    resolve: async (text) => {
      const path = pathOf(host.named.get(text) ?? text);
      if (!kernel.hasContainer(path)) throw new OverlaydError('namespace-not-found', `${text} does not exist`);
      return { text, path, identity: identityOf(path) } satisfies ContainerRef;
    },
    isAlive: async (ref) =>
      isHandedOver(ref) || (kernel.hasContainer(ref.path) && identityOf(ref.path) === ref.identity),
    configureResolver: async ({ text }, servers) => {
      if (servers.length > 0) resolvers.set(text, servers);
      else resolvers.delete(text);
      return undefined;
    },
    resolverDrift: async ({ text }, servers) => {
      const [path, there] = [`/etc/netns/${text}/resolv.conf`, resolvers.get(text)];
      if (servers.length === 0 || there?.join() === servers.join()) return undefined;
      return { path, state: there ? 'wrong' : 'missing', detail: '' };
    },
    withResolver: async () => [...resolvers.keys()].map((text) => ({ text, path: pathOf(text), identity: '' })),
  };
}

export function pathOf(container: string): string {
  const [kind, name = ''] = container.split(':');
  if (name.startsWith('/')) return name;
  return kind === 'pid' ? `/proc/${name}/ns/net` : `/run/netns/${name}`;
}
