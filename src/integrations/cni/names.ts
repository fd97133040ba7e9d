/**
 * What an endpoint is called. Runtimes give an id that they made up, and some of them what a person called the container; that
 * name may be a neighbour's as well, of another Kubernetes namespace: then it is an alias, which may be shared.
 */
import type { Wishes } from './request.ts';

export interface Naming {
  readonly name: string;
  readonly aliases: readonly string[];
}

/** Of containerd's namespace `default`, whose containers are `default-NAME` to CNI. */
const CONTAINERD = /^default-(?=.)/;
const HASH = /[0-9a-f]{64}$/;
const SHOWN = 12;
const LABEL_CHARACTERS = 63;

/** Ways to call it, the best first; each is to be tried where the one before is taken. */
export function namings(
  containerId: string,
  { name, aliases, args }: Pick<Wishes, 'name' | 'aliases' | 'args'>,
): Naming[] {
  const pod = args.get('K8S_POD_NAME') || args.get('NERDCTL_CNI_DHCP_HOSTNAME');
  if (name !== undefined) return [{ name, aliases: [...aliases, ...(pod ? [labelOf(pod)] : [])] }];
  const id = shortened(containerId);
  if (!pod) return [{ name: id, aliases }];
  const label = labelOf(pod);
  return [
    { name: label, aliases: [...aliases, ...(id === label ? [] : [id])] },
    { name: id, aliases: [...aliases, label] },
  ];
}

/** As Docker shortens ids, and as one DNS label. */
function shortened(containerId: string): string {
  const own = containerId.replace(CONTAINERD, '');
  return labelOf(own.replace(HASH, (hash) => hash.slice(0, SHOWN)));
}

function labelOf(text: string): string {
  return text
    .replaceAll(/[^a-zA-Z0-9_-]/g, '-')
    .slice(0, LABEL_CHARACTERS)
    .replace(/^-+|-+$/g, '');
}
