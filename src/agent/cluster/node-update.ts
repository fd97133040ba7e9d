/**
 * Labels and name of a node, changed by a keeper for whoever asks: a node's own agent writes its record too, so what is written
 * compares what was read. The new name is claimed, the old one given back, by the same transaction; the node's rights in etcd are
 * those of its name.
 */
import { OverlaydError } from '../../core/errors.ts';
import { checkLabels } from '../../core/labels.ts';
import { checkNodeName } from '../../core/names.ts';
import { decodeNode, encodeRecord, nodeWith } from '../../core/record-codec.ts';
import { keys, type NodeRecord, PREFIX } from '../../core/records.ts';
import { resolveRef } from '../../core/reference.ts';
import type { Logger } from '../../ports/runtime.ts';
import type { ClusterStore, Compare } from '../../ports/store.ts';
import type { Change, Commit } from '../view/commit.ts';
import type { NodeUsers } from './eviction.ts';

export interface NodeUpdate {
  readonly ref: string;
  /** Put in, or in the place of what was there. */
  readonly labels: Readonly<Record<string, string>>;
  readonly labelsRemoved: readonly string[];
  /** Empty: as it is. */
  readonly name: string;
}

export interface NodeUpdateDeps {
  readonly store: Pick<ClusterStore, 'list'>;
  readonly commit: Commit;
  readonly users: Pick<NodeUsers, 'admit'>;
  readonly logger: Logger;
}

/**
 * Returns the id. Throws `node-not-found`, `ambiguous-id`, `invalid-name`, `invalid-argument` (it has left; it has no such label),
 * `node-name-taken`. `by`: node id of who asks.
 */
export async function updateNode(deps: NodeUpdateDeps, update: NodeUpdate, by: string): Promise<string> {
  if (update.name !== '') checkNodeName(update.name);
  for (;;) {
    const { entries } = await deps.store.list(`${PREFIX}nodes/`);
    const nodes = entries.flatMap(({ value, revision }) => {
      const record = decodeNode(value);
      return record ? [{ ...record, record, revision }] : [];
    });
    const { record, revision } = resolveRef(nodes, update.ref, 'node');
    const next = updated(record, update);
    if (encodeRecord(next) === encodeRecord(record)) return record.id;
    const isRenamed = next.name !== record.name;
    if (isRenamed) requireFree(nodes, next.name);
    if (!(await write(deps.commit, record, next, revision))) continue;
    if (isRenamed) await deps.users.admit(next);
    const said = { event: 'member-updated', name: record.name, nodeId: record.id, by } as const;
    deps.logger.info({ ...said, ...(isRenamed && { to: next.name }), labels: next.labels }, 'node updated');
    return record.id;
  }
}

function updated(record: NodeRecord, { labels, labelsRemoved, name }: NodeUpdate): NodeRecord {
  if (record.left) {
    throw new OverlaydError('invalid-argument', `node ${record.name} has left the cluster: it is not updated any more`);
  }
  const unknown = labelsRemoved.filter((key) => !Object.hasOwn(record.labels, key));
  if (unknown.length > 0) {
    const there = Object.keys(record.labels).join(', ') || 'none';
    throw new OverlaydError(
      'invalid-argument',
      `node ${record.name} has no label ${unknown.join(', ')}; its labels: ${there}`,
    );
  }
  const kept = Object.entries(record.labels).filter(([key]) => !labelsRemoved.includes(key));
  const next = { ...Object.fromEntries(kept), ...labels };
  // Of one that has too many from before, some can be taken away.
  if (Object.keys(labels).length > 0) checkLabels(next, 'node');
  return nodeWith(record, { labels: next, name: name || record.name });
}

function requireFree(nodes: readonly NodeRecord[], name: string): void {
  const holder = nodes.find((node) => node.name === name);
  if (!holder) return;
  throw new OverlaydError(
    'node-name-taken',
    `the name ${name} is taken by node ${holder.id.slice(0, 12)} at ${holder.advertiseAddress}; choose another, or run \`overlayd node rm ${name}\` if that node is gone`,
  );
}

/** False when one of them changed since it was read. */
async function write(commit: Commit, record: NodeRecord, next: NodeRecord, revision: number): Promise<boolean> {
  const key = keys.node(record.id);
  const compares: Compare[] = [{ kind: 'revision', key, revision }];
  const changes: Change[] = [{ kind: 'put', key, record: next }];
  if (next.name !== record.name) {
    compares.push({ kind: 'absent', key: keys.nodeName(next.name) });
    changes.push(
      { kind: 'put', key: keys.nodeName(next.name), record: record.id },
      { kind: 'delete', key: keys.nodeName(record.name) },
    );
  }
  return (await commit(compares, changes)) !== undefined;
}
