import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formLabCluster } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { type InsideProcess, startInside } from '../lab/inside-process.ts';
import { until } from '../lab/until.ts';
import { openControl } from './control.ts';
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
  await formLabCluster(lab);
  await one.mustOverlayd('network', 'create', '--subnet', SUBNET, NETWORK);
  const control = openControl(one);
  const network = await control.getNetwork({ ref: NETWORK });
  const { id: nodeId } = await control.getNode({ ref: two.name });
  control.close();
  const identity = join(one.dataDirectory, 'identity.json');
  const writer = await startInside(one, ['node', WRITER, identity, network.id, nodeId, FIRST_ADDRESS]);
  return {
    network: NETWORK,
    namespace: `ovl-${network.vni}`,
    host: three,
    setEndpoints: countKeeper(writer, three),
    churn: (rate) => ask(writer, `churn ${rate}`),
    close: () => writer.end(),
  };
}

function countKeeper(writer: InsideProcess, host: Host): (count: number) => Promise<void> {
  let now = 0;
  return async (count) => {
    if (count > now) await ask(writer, `put ${now} ${count}`);
    if (count < now) await ask(writer, `delete ${count} ${now}`);
    now = count;
    await untilKnown(host, count);
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
