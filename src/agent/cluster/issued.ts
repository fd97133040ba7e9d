/**
 * The record of certificates that were made for a node: written before the node gets one, and when it is removed. What is so
 * already is not written again, so each may be done twice, by two keepers.
 */
import type { CertificateFacts } from '../../core/certificate.ts';
import { OverlaydError } from '../../core/errors.ts';
import { type CertificatesRecord, revokedAll, revokedSerials, withIssuedOne } from '../../core/issued.ts';
import { unreadableRecord } from '../../core/levels.ts';
import { decodeCertificates, decodeNode } from '../../core/record-codec.ts';
import { keys } from '../../core/records.ts';
import type { ClusterStore } from '../../ports/store.ts';
import { type Change, type Commit, unchanged } from '../view/commit.ts';

export interface IssuedDeps {
  readonly store: Pick<ClusterStore, 'get' | 'list'>;
  readonly commit: Commit;
}

const ATTEMPTS = 8;

/** Throws what the store throws. */
export async function noteIssued(
  deps: IssuedDeps,
  facts: Pick<CertificateFacts, 'nodeId' | 'notAfter' | 'serial'>,
  now: number,
): Promise<void> {
  await change(deps, facts.nodeId, (held) => withIssuedOne(held, facts, now));
}

/**
 * Before a member gets it. Throws `peer-refused` to one that was removed meanwhile, whose certificates may have been marked before
 * this one was among them; and what the store throws.
 */
export async function noteGiven(
  deps: IssuedDeps,
  facts: Pick<CertificateFacts, 'nodeId' | 'notAfter' | 'serial'>,
  now: number,
): Promise<void> {
  await noteIssued(deps, facts, now);
  if (await isMember(deps.store, facts.nodeId)) return;
  await revokeIssued(deps, facts.nodeId, now);
  throw new OverlaydError('peer-refused', `node ${facts.nodeId} was removed from the cluster at the same moment`);
}

/** All that the node has: it is a member no more. Throws what the store throws. */
export async function revokeIssued(deps: IssuedDeps, nodeId: string, now: number): Promise<void> {
  await change(deps, nodeId, (held) => held && revokedAll(held, now));
}

/**
 * Serials, in order, of what etcd is to refuse. What nodes have that are none any more is among them, whoever removed them; what has
 * run out is forgotten. `members`: ids, as they were a moment ago. One that cannot be read is left alone. `needed`: ids of those whose
 * certificates etcd has to take still. Throws what the store throws.
 */
export async function settleRevoked(
  { commit, store }: IssuedDeps,
  members: ReadonlySet<string>,
  now: number,
  needed: () => Promise<readonly string[]>,
): Promise<readonly string[]> {
  const { entries } = await store.list(keys.allCertificates);
  const records = new Map<string, CertificatesRecord>();
  for (const entry of entries) {
    const { key, value } = entry;
    const nodeId = key.slice(keys.allCertificates.length);
    const held = decodeCertificates(value);
    if (held === undefined) continue;
    const next = revokedAll(held, now);
    // A node's record is there before its first certificate's: one that is admitted now is seen.
    const isOver = next !== held && !members.has(nodeId) && !(await isMember(store, nodeId));
    if (!isOver) records.set(nodeId, held);
    else if (next) records.set(nodeId, next);
    // Who is admitted again, and gets another one, changes it: it is looked at anew then.
    if (isOver)
      await commit([unchanged(key, entry)], [next ? { kind: 'put', key, record: next } : { kind: 'delete', key }]);
  }
  // Asked for only where there is something that it could spare.
  if (revokedSerials(records.values(), now).length === 0) return [];
  for (const nodeId of await needed()) records.delete(nodeId);
  return revokedSerials(records.values(), now);
}

async function isMember(store: Pick<ClusterStore, 'get'>, nodeId: string): Promise<boolean> {
  const entry = await store.get(keys.node(nodeId));
  return entry !== undefined && decodeNode(entry.value)?.left !== true;
}

async function change(
  { commit, store }: IssuedDeps,
  nodeId: string,
  next: (held: CertificatesRecord | undefined) => CertificatesRecord | undefined,
): Promise<void> {
  const key = keys.certificates(nodeId);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const entry = await store.get(key);
    const held = entry && decodeCertificates(entry.value);
    if (entry && !held) throw unreadableRecord(key, 'no certificate is made for its node, and none revoked');
    const record = next(held);
    if (record === held) return;
    const write: Change = record ? { kind: 'put', key, record } : { kind: 'delete', key };
    if (await commit([unchanged(key, entry)], [write])) return;
  }
  throw new OverlaydError('conflict', `the certificates of node ${nodeId} change all the time; try again`, {
    retryable: true,
  });
}
