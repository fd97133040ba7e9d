import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.ts';
import { type InsideProcess, startInside } from '../lab/inside-process.ts';
import { until } from '../lab/until.ts';
import { connect, openControl } from './control.ts';
import { formWithOneKeeper } from './one-keeper.ts';
import type { Context } from './row.ts';

const WRITER = fileURLToPath(new URL('programs/endpoint-writer.ts', import.meta.url));
const NETWORK = 'large';
const SUBNET = '10.200.0.0/16';
/** Automatic addresses are below. */
const FIRST_ADDRESS = '10.200.16.0';

/**
 * Three hosts: the first has etcd, the second has as many endpoints of one network as one likes, as far as etcd and
 * the others know, and the third is the one that is looked at.
 */
export interface LargeCluster {
  readonly network: string;
  readonly namespace: string;
  readonly host: Host;
  /** The first one. */
  readonly etcdHost: Host;
  /** The third has a container of this name on the network. */
  attach(container: string): Promise<void>;
  /** The second host has this many endpoints from now on; resolves when the third knows. */
  setEndpoints(count: number): Promise<void>;
  /** Endpoints that come or go, each second, besides; 0 ends it. */
  churn(rate: number): Promise<void>;
  close(): void;
}

export async function openLargeCluster(context: Context): Promise<LargeCluster> {
  const lab = await context.openLab({ hosts: 3 });
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  await Promise.all(lab.hosts.map((host) => host.agent.start(['--log-level', 'info'])));
  await formWithOneKeeper(lab);
  await one.mustOverlayd('network', 'create', '--subnet', SUBNET, NETWORK);
  const control = openControl(one);
  const network = await control.getNetwork({ ref: NETWORK });
  const { id: nodeId } = await control.getNode({ ref: two.name });
  control.close();
  const writer = await startWriter(one, nodeId, [{ id: network.id, subnet: SUBNET, firstAddress: FIRST_ADDRESS }]);
  return {
    network: NETWORK,
    namespace: `ovl-${network.vni}`,
    host: three,
    etcdHost: one,
    async attach(container) {
      await three.container(container);
      const asked = openControl(three);
      await connect(asked, NETWORK, container);
      asked.close();
    },
    async setEndpoints(count) {
      await writer.setEndpoints(count);
      await untilKnown(three, count);
    },
    churn: writer.churn,
    close: writer.close,
  };
}

export interface WrittenNetwork {
  readonly id: string;
  readonly subnet: string;
  /** Of the endpoints that are written. */
  readonly firstAddress: string;
}

export interface EndpointWriter {
  /** There are this many from now on, the same number on each network, as far as etcd knows. */
  setEndpoints(count: number): Promise<void>;
  churn: LargeCluster['churn'];
  close(): void;
}

/** On the host that has the cluster's etcd: endpoints of a node, as that node would write them. */
export async function startWriter(
  host: Host,
  nodeId: string,
  networks: readonly WrittenNetwork[],
): Promise<EndpointWriter> {
  const identity = join(host.dataDirectory, 'identity.json');
  const words = networks.map(({ id, subnet, firstAddress }) => `${id} ${subnet} ${firstAddress}`);
  const writer = await startInside(host, ['node', WRITER, identity, nodeId, ...words]);
  let now = 0;
  return {
    async setEndpoints(count) {
      if (count > now) await ask(writer, `put ${now} ${count}`);
      if (count < now) await ask(writer, `delete ${count} ${now}`);
      now = count;
    },
    churn: (rate) => ask(writer, `churn ${rate}`),
    close: () => writer.end(),
  };
}

/** The host's agent knows of these and its own. */
export function untilKnown(host: Host, count: number): Promise<boolean> {
  return until(`${host.name} to know ${count} endpoints`, async () => {
    const control = openControl(host);
    try {
      const { endpoints, localEndpoints } = await control.getStatus({});
      return endpoints - localEndpoints === count;
    } finally {
      control.close();
    }
  });
}

async function ask(writer: InsideProcess, order: string): Promise<void> {
  writer.order(order);
  await writer.line();
}
