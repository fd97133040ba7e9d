/** Services go with their network, and do not keep it from being removed; a network that is used keeps them. */
import { unreadableRecord } from '../../core/levels.ts';
import { decodeClaim, decodeServices } from '../../core/record-codec.ts';
import { keys, type NetworkRecord } from '../../core/records.ts';
import type { ClusterStore, Compare } from '../../ports/store.ts';
import { type Change, unchanged } from '../view/commit.ts';
import { servicesLeft } from './network-users.ts';

interface Part {
  readonly compares: readonly Compare[];
  readonly changes: readonly Change[];
}

/**
 * Part of the transaction by which a network goes: holds as long as services alone have addresses of it, and takes those along. So
 * of that and of who connects at the same moment one happens, and wholly. Throws `version-mismatch`; `network-in-use` for an
 * address of a service that is not there.
 */
export async function withoutServices(
  { store }: { readonly store: Pick<ClusterStore, 'get' | 'list'> },
  { id, name }: NetworkRecord,
): Promise<Part> {
  const key = keys.services(id);
  const prefix = keys.addressesOn(id);
  const [held, { entries, revision }] = await Promise.all([store.get(key), store.list(prefix)]);
  const record = held && decodeServices(held.value);
  if (held && !record) throw unreadableRecord(key, `network ${name} cannot be removed here`);
  const known = new Set(record?.services.map((service) => service.id));
  const claims = entries.map((entry) => ({ ip: entry.key.slice(prefix.length), claim: decodeClaim(entry.value) }));
  const isServices = ({ claim }: (typeof claims)[number]) => claim?.nodeId === '';
  const left = claims.filter((each) => isServices(each) && !known.has(each.claim!.endpointId));
  if (left.length > 0 && claims.every(isServices))
    throw servicesLeft(
      name,
      left.map(({ ip }) => ip),
    );
  const isTheirs = claims.length > 0 && claims.every(isServices);
  return {
    compares: [unchanged(key, held), { kind: 'empty', prefix, ...(isTheirs && { after: revision }) }],
    changes: [
      ...(held ? [{ kind: 'delete', key } as const] : []),
      ...(isTheirs ? [{ kind: 'delete-prefix', prefix } as const] : []),
    ],
  };
}
