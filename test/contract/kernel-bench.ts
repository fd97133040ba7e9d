/** A kernel under test with a world for it, and what a reconciler would do with both. */
import { expect } from 'vitest';
import type { ContainerRef } from '../../src/core/container.ts';
import { desired } from '../../src/core/desired.ts';
import type { Drift } from '../../src/core/drift/drift.ts';
import { driftOf } from '../../src/core/drift/of-plan.ts';
import { Directory } from '../../src/core/drift/why.ts';
import type { ApplyResult, Desired, NamespaceState, Observed, Op, Plan } from '../../src/core/host-state.ts';
import { plan } from '../../src/core/plan.ts';
import { fdbRows, neighbourRows } from '../../src/core/row-table.ts';
import type { Kernel } from '../../src/ports/kernel.ts';
import { World } from './kernel-world.ts';

/** A host without anything of overlayd in it. */
export interface KernelHost {
  readonly kernel: Kernel;
  /** Address of the underlay. */
  readonly vtep: string;
  addContainer(name: string): Promise<ContainerRef>;
  killContainer(name: string): Promise<void>;
  /** As a container engine does: takes a link from the host into the container, renames it, addresses it, ups it. */
  takeOver(link: string, container: string, inside: { readonly ifname: string; readonly cidr: string }): Promise<void>;
  /** Its routing table as text. */
  routesIn(container: string): Promise<string>;
  /** Resolves when namespaces without a name have ended, which is a moment after their names were removed. */
  settled?(): Promise<void>;
  close(): Promise<void>;
}

/** What counts for a plan, in an order that does not depend on who lists it. */
export function contentOf({ links, addresses, routes, neighbours, fdb, filter, forwarding }: NamespaceState) {
  const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row, Object.keys(row).sort())).sort();
  const ours = [...links.values()].filter(({ kind }) => ['bridge', 'vxlan', 'veth'].includes(kind));
  return {
    forwarding,
    links: sorted(ours.map(({ name, kind, mac, mtu, up, master }) => ({ name, kind, mac, mtu, up, master }))),
    details: new Map(ours.map(({ name, vxlan, bridge, port }) => [name, { vxlan, bridge, port }])),
    rows: [addresses, routes, neighbourRows(neighbours), fdbRows(fdb)].map(sorted),
    filter,
  };
}

export class KernelBench {
  readonly host: KernelHost;
  readonly world = new World('h1');

  constructor(host: KernelHost) {
    this.host = host;
    this.world.addNode('h1', host.vtep);
  }

  want(): Desired {
    const { world } = this;
    const { self, serviceAddress } = world;
    return desired({ view: world, self, local: [...world.local.values()], serviceAddress });
  }

  /** Looks at everything, into every container that may be looked into. */
  async look(): Promise<Observed> {
    const names = [...this.world.networkRecords.values()].map(({ vni }) => `ovl-${vni}`);
    const ports = this.want().networks.flatMap(({ namespace, ports: all }) =>
      all.map(({ link, endpoint }) => ({ namespace, link, container: endpoint.container })),
    );
    const containers = ports.map((port) => port.container);
    return this.host.kernel.observe({ host: true, networks: names, containers, ports });
  }

  async think(): Promise<Plan> {
    return plan(this.want(), await this.look(), { provesAbsence: this.world.isWhole });
  }

  /** The plan, read as what differs. */
  async differs(): Promise<Drift[]> {
    const { world } = this;
    const [wanted, observed] = [this.want(), await this.look()];
    const planned = plan(wanted, observed, { provesAbsence: world.isWhole });
    const directory = new Directory(world, world.selfId, world.local.values());
    return driftOf(planned, { desired: wanted, observed, directory });
  }

  async converge(): Promise<ApplyResult> {
    const planned = await this.think();
    const result = await this.host.kernel.apply(planned);
    expect(result.failures.map(({ error }) => error.message)).toEqual([]);
    await this.#expectOutcomes(planned);
    return result;
  }

  /** The next plan may be made of them, without a look. */
  async #expectOutcomes({ outcomes = new Map() }: Plan): Promise<void> {
    if (outcomes.size === 0) return;
    const { networks } = await this.look();
    for (const [namespace, outcome] of outcomes) {
      expect(contentOf(networks.get(namespace)!)).toEqual(contentOf(outcome));
    }
  }

  /** Something else than overlayd does this. */
  async interfere(...ops: readonly Op[]): Promise<void> {
    const planned = ops.map((op) => ({ op, reason: 'update' as const, network: undefined, endpointId: undefined }));
    const stages = planned.map((op) => ({ essential: false, ops: [op] }));
    expect((await this.host.kernel.apply({ stages, gone: [] })).failures).toEqual([]);
  }

  async expectStable(): Promise<void> {
    expect((await this.think()).stages).toEqual([]);
  }
}
