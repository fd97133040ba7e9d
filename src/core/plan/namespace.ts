/**
 * What stands under the name of a network's namespace. Mostly that namespace or nothing; but the name is only a file,
 * which whoever was ended half-way left behind, or somebody else has put something at.
 */
import { OverlaydError } from '../errors.ts';
import { BRIDGE, LOOPBACK, type Observed, TUNNEL, UPLINK } from '../host-state.ts';
import { isPortLink } from './naming.ts';

/** Of tunnels that the kernel makes by itself in every namespace. */
const FALLBACKS = [
  'ipip',
  'gre',
  'gretap',
  'erspan',
  'sit',
  'vti',
  'vti6',
  'ip6tnl',
  'ip6gre',
  'ip6gretap',
  'ip6erspan',
];

/** A name that is listed and leads to no namespace: to be removed, and nothing is lost with it. */
export function isDead(name: string, { namespaces, networks, unseen }: Observed): boolean {
  return namespaces?.has(name) === true && !networks.has(name) && unseen?.has(name) !== true;
}

/** Links of somebody else's in a namespace that was never given an id of ours. Empty: the namespace is ours, or free. */
export function foreignLinks(name: string, { namespaces, networks }: Observed): readonly string[] {
  if (isIdentified(name, namespaces)) return [];
  return [...(networks.get(name)?.links.values() ?? [])]
    .filter((link) => !FALLBACKS.includes(link.kind) && !isOurs(link.name))
    .map((link) => link.name);
}

export function foreignNamespace(name: string, links: readonly string[]): OverlaydError {
  return new OverlaydError(
    'data-path-failed',
    `the namespace ${name} is somebody else's, it has ${links.join(', ')} in it; give it another name, or remove it with \`ip netns delete ${name}\``,
    { retryable: true },
  );
}

/** Looked at, and without doubt ours: it bears an id of ours, or holds nothing that is not. */
export function isRemovable(name: string, observed: Observed): boolean {
  if (isIdentified(name, observed.namespaces)) return true;
  return !observed.unseen?.has(name) && foreignLinks(name, observed).length === 0;
}

/** Not asked for counts as well: then nothing is there to doubt. */
function isIdentified(name: string, namespaces: Observed['namespaces']): boolean {
  const id = namespaces?.get(name);
  return id === undefined || id === 'ours';
}

function isOurs(link: string): boolean {
  return link === LOOPBACK || link === BRIDGE || link === TUNNEL || link === UPLINK || isPortLink(link);
}
