/**
 * What an endpoint of a container of Podman is known by. A container is on a network of Podman once, whatever its interface is
 * called there.
 */
export const PODMAN = 'podman';

/** Podman's ids, 64 hex characters each. */
export interface OwnerKey {
  readonly containerId: string;
  readonly networkId: string;
}

export function formatOwnerKey({ containerId, networkId }: OwnerKey): string {
  return `${containerId} ${networkId}`;
}

export function parseOwnerKey(text: string): OwnerKey {
  const [containerId = '', networkId = ''] = text.split(' ');
  return { containerId, networkId };
}
