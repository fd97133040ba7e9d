/** Incus on this host, by its API at the Unix socket that `incus` itself uses. */
import { OverlaydError } from '../../core/errors.ts';
import { formatInstance, parseInstance } from '../../core/incus/owner.ts';
import { wishKey } from '../../core/incus/wish.ts';
import { isOwnResolverText, resolverLines, resolverText } from '../../core/resolver-text.ts';
import type { Incus, IncusName } from '../../ports/incus.ts';
import type { Clock } from '../../ports/runtime.ts';
import { kindInside } from '../plain-file.ts';
import { createIncusCall, type IncusRequest } from './connection.ts';
import { incusChanges } from './events.ts';
import { errorOf, instanceOf, type LocatedInstance, metadataOf, pidOf, serverNameOf } from './messages.ts';

export interface IncusOptions {
  readonly socketPath: string;
  /** Where the files of a process are seen. */
  readonly rootOf?: (pid: number) => string;
}

/** What names, for a person: `incus:db`. */
export interface IncusNamed {
  /** The first process. Throws `namespace-not-found`, `namespace-unusable`, `engine-unavailable`. */
  processOf(name: string): Promise<number>;
  /** As `Containers.configureResolver`. */
  configureResolver(name: string, servers: readonly string[]): Promise<string | undefined>;
}

const RESOLVER = '/etc/resolv.conf';

export function createIncus(
  { clock }: { readonly clock: Clock },
  { socketPath, rootOf = (pid) => `/proc/${pid}/root` }: IncusOptions,
): Incus & IncusNamed {
  const call = createIncusCall(socketPath);

  /** Throws `namespace-not-found` where there is no such instance, `engine-refused`. */
  async function ask(request: IncusRequest, instance?: IncusName): Promise<unknown> {
    const { status, text } = await call(request);
    if (status >= 200 && status < 300) return metadataOf(text);
    if (status === 404 && instance) {
      throw new OverlaydError(
        'namespace-not-found',
        `container incus:${formatInstance(instance)}: Incus has no such instance; \`incus list --all-projects\` names those there are`,
      );
    }
    throw new OverlaydError('engine-refused', `Incus refused ${request.method} ${request.path}: ${errorOf(text)}`);
  }

  async function find(name: IncusName): Promise<LocatedInstance> {
    const found = instanceOf(await ask({ method: 'GET', path: pathOf(name) }, name));
    if (found) return found;
    throw new OverlaydError(
      'engine-refused',
      `Incus tells nothing of instance ${formatInstance(name)} that can be read`,
    );
  }

  async function processOf(text: string): Promise<number> {
    const name = parseInstance(text);
    const pid = pidOf(await ask({ method: 'GET', path: pathOf(name, '/state') }, name));
    if (pid > 0) return pid;
    throw new OverlaydError(
      'namespace-not-found',
      `container incus:${text}: it does not run; \`incus start ${name.name}\` starts it`,
    );
  }

  return {
    async instances() {
      const list = await ask({ method: 'GET', path: '/1.0/instances?recursion=1&all-projects=true' });
      // Nothing is no proof that there are none.
      if (!Array.isArray(list)) throw new OverlaydError('engine-refused', 'Incus tells no instances that can be read');
      const all = list.flatMap((each) => instanceOf(each) ?? []);
      if (all.every(({ location }) => location === 'none')) return all;
      const here = serverNameOf(await ask({ method: 'GET', path: '/1.0' }));
      return all.filter(({ location }) => location === here);
    },
    instance: find,
    async setWish(name, network, text) {
      const body = JSON.stringify({ config: { [wishKey(network)]: text ?? '' } });
      await ask({ method: 'PATCH', path: pathOf(name), body, headers: { 'Content-Type': 'application/json' } }, name);
    },
    changes: (signal) => incusChanges(socketPath, clock, signal),

    processOf,
    async configureResolver(text, servers) {
      const pid = await processOf(text);
      const advice = `incus:${text}: names resolve inside once its ${RESOLVER} has: ${resolverLines(servers)}`;
      const leftAlone = servers.length === 0 ? undefined : `${advice}; what is there was left alone`;
      // Incus opens what is there, and a pipe would hold it, and us, up.
      if (kindInside(rootOf(pid), 'etc', 'resolv.conf') === 'other') return leftAlone;
      const path = pathOf(parseInstance(text), '/files', `&path=${encodeURIComponent(RESOLVER)}`);
      const present = await call({ method: 'GET', path });
      const isOwn = isOwnResolverText(present.text);
      if (servers.length === 0) {
        if (present.status === 200 && isOwn) await call({ method: 'DELETE', path });
        return undefined;
      }
      const isFree = present.status === 404 || (present.status === 200 && (isOwn || present.text.trim() === ''));
      if (!isFree) return leftAlone;
      const headers = { 'X-Incus-type': 'file', 'X-Incus-uid': '0', 'X-Incus-gid': '0', 'X-Incus-mode': '0644' };
      const { status } = await call({ method: 'POST', path, body: resolverText(servers), headers });
      return status === 200 ? undefined : advice;
    },
  };
}

function pathOf({ project, name }: IncusName, below = '', query = ''): string {
  return `/1.0/instances/${encodeURIComponent(name)}${below}?project=${encodeURIComponent(project)}${query}`;
}
