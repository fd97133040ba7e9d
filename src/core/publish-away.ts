/**
 * Endpoints of other hosts that ports of this one lead to. They answer the host's own address on their network, which is what
 * they are called from: so the host has to have one.
 */
import type { ClusterView } from './cluster-view.ts';
import type { Exposure } from './expose.ts';
import { type Family, familyOfAddress } from './ip.ts';
import { uplinkOf } from './plan/naming.ts';
import { goesBy, type Publication, type Publishable } from './publish.ts';
import type { NetworkRecord } from './records.ts';

export interface AwayInput {
  readonly view: ClusterView;
  readonly network: NetworkRecord;
  readonly exposed: Exposure;
  readonly publications: readonly Publication[];
  /** Ids of members that do not answer. */
  readonly hidden: ReadonlySet<string>;
  readonly selfId: string;
}

interface Made {
  readonly moment: number;
  readonly of: string;
  readonly publishable: readonly Publishable[];
}

/** What was made last, by who is at which address of the network: of thousands of endpoints the few are looked for once. */
const made = new WeakMap<ReturnType<ClusterView['addresses']>, Made>();

/** Endpoints of hosts that answer, by a name that is published here. */
export function publishableAway(input: AwayInput): readonly Publishable[] {
  const { view, network, exposed, publications, hidden, selfId } = input;
  const names = publications.filter(({ networkId }) => networkId === network.id).map(({ name }) => name);
  if (names.length === 0) return [];
  const moment = view.moment(network.id);
  const all = view.addresses(network.id);
  const of = JSON.stringify([names, exposed, [...hidden]]);
  const last = made.get(all);
  if (last?.moment === moment && last.of === of) return last.publishable;
  const sourceOf = (family: Family) => exposed.addresses.find((address) => familyOfAddress(address) === family);
  const away = { link: uplinkOf(network.vni), source: { 4: sourceOf(4), 6: sourceOf(6) } };
  const routed = { 4: away.source[4] !== undefined, 6: away.source[6] !== undefined };
  const publishable: Publishable[] = [];
  for (const record of view.endpointsOn(network.id)) {
    const { nodeId } = record;
    if (nodeId === selfId || hidden.has(nodeId) || !names.some((name) => goesBy(record, name))) continue;
    if (view.node(nodeId)?.left !== false) continue;
    const addresses = record.addresses.filter(({ ip }) => all.get(ip) === record);
    publishable.push({ record, addresses, routed, away });
  }
  made.set(all, { moment, of, publishable });
  return publishable;
}
