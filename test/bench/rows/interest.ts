import { allBytes, allCpuMs } from '../../lab/agent-process.ts';
import { untilReady } from '../../lab/cluster.ts';
import type { Host } from '../../lab/host.ts';
import { settle } from '../clock.ts';
import { connect, disconnect, openControl } from '../control.ts';
import { type EndpointWriter, startWriter, untilKnown, type WrittenNetwork } from '../large-cluster.ts';
import { formWithOneKeeper } from '../one-keeper.ts';
import { type Experiment, goal, lower, OVERLAYD, type Prepared, type Sample } from '../row.ts';
import { countTraffic, difference, trafficOf } from '../traffic.ts';

const NETWORKS = 100;
/** Networks of these on which the measured host has a container. */
const HERE = 5;
const ENDPOINTS = 10_000;
const ON_NETWORKS_HERE = (ENDPOINTS * HERE) / NETWORKS;
/** What a start sets off is over, V8's tidying up of it too. */
const REST_MS = 20_000;
const CHURN_RATE = 20;
const CHURN_MS = 10_000;
const ATTACHES = 20;
const PAUSE_MS = 250;
const PORTS = { store: 2379, gossip: 7946 };
const KIB = 1_024;
const MIB = KIB * KIB;

const ROWS = `for name in $(ip netns list | cut -d' ' -f1 | grep ^ovl-); do
  ip -n $name neigh show nud permanent
  bridge -n $name fdb show dev vx0 | grep dst
done | wc -l`;

interface ManyNetworks {
  readonly elsewhere: EndpointWriter;
  readonly here: EndpointWriter;
  /** A network that the measured host is not on. */
  readonly foreign: string;
}

/** The first host has etcd, the second all endpoints, and the third is on a few of the networks. */
async function openNetworks([one, two, three]: readonly [Host, Host, Host]): Promise<ManyNetworks> {
  const control = openControl(one);
  const networks: WrittenNetwork[] = [];
  for (let nth = 0; nth < NETWORKS; nth++) {
    const subnet = `10.${nth + 100}.0.0/16`;
    await one.mustOverlayd('network', 'create', '--subnet', subnet, `n${nth}`);
    // Automatic addresses are below.
    networks.push({
      id: (await control.getNetwork({ ref: `n${nth}` })).id,
      subnet,
      firstAddress: `10.${nth + 100}.16.0`,
    });
  }
  const { id: nodeId } = await control.getNode({ ref: two.name });
  control.close();
  const third = openControl(three);
  for (let nth = 0; nth < HERE; nth++) {
    await three.container(`here-${nth}`);
    await connect(third, `n${nth}`, `here-${nth}`);
  }
  third.close();
  return {
    here: await startWriter(one, nodeId, networks.slice(0, HERE)),
    elsewhere: await startWriter(one, nodeId, networks.slice(HERE)),
    foreign: `n${HERE}`,
  };
}

const memberOfFew: Experiment = {
  name: 'interest',
  title: 'Networks that a host is not on',
  method: `A host has one container on each of ${HERE} of ${NETWORKS} networks. Another one has ${ENDPOINTS.toLocaleString('en-US')} \
endpoints, as far as etcd and the others know: all on these ${HERE}, all on the ${NETWORKS - HERE} others, or the same number \
on each of the ${NETWORKS}; then the first host's agent is started again, and left alone for ${REST_MS / 1_000} seconds. \
"Memory": that of all our processes there, pages that they share counted once, more than with none of these endpoints. \
"Rows": neighbours and FDB rows in the kernel, for each endpoint that there is. "An attach elsewhere": of ${ATTACHES} attaches \
and detaches of a container of the other host on a network that the first one is not on, what each of them has the first host \
send and receive, with all headers from IP on. "Changes elsewhere": processor time of all our processes while ${CHURN_RATE} \
endpoints a second come or go there, as a part of one core, less that without them.`,
  sides: [OVERLAYD],
  rows: [
    lower('interest-memory-here', 'memory, endpoints on networks of the host', 'B each'),
    lower('interest-memory-elsewhere', 'memory, endpoints on other networks', 'B each'),
    lower('interest-memory', `memory, ${HERE} of ${NETWORKS} networks`, 'MiB', goal(0.2, 'before')),
    lower('interest-rows', `rows in the kernel, ${HERE} of ${NETWORKS} networks`, 'per endpoint', goal(0.2)),
    lower('interest-attach-gossip', 'an attach and detach elsewhere, with other members', 'B'),
    lower('interest-attach-store', 'an attach and detach elsewhere, with etcd', 'B'),
    lower('interest-churn', 'changes elsewhere, processor', '% of a core'),
  ],
  lab: 'own',
  rounds: 3,
  quickRounds: 1,
  comparedRounds: 2,
  mostlyWaits: true,
  warmUp: false,
  prepareLimitMs: 420_000,
  limitMs: 400_000,
  async prepare(context): Promise<Prepared> {
    const lab = await context.openLab({ hosts: 3 });
    const hosts = [lab.host(1), lab.host(2), lab.host(3)] as const;
    const [, two, three] = hosts;
    await Promise.all(lab.hosts.map((host) => host.agent.start(['--log-level', 'info'])));
    await formWithOneKeeper(lab);
    const { here, elsewhere, foreign } = await openNetworks(hosts);
    await countTraffic(three, PORTS);
    const memoryWith = async (onNetworksHere: number, onOthers: number) => {
      await here.setEndpoints(onNetworksHere);
      await elsewhere.setEndpoints(onOthers);
      await three.agent.stop();
      await three.agent.start();
      await untilReady([three]);
      await untilKnown(three, onNetworksHere + onOthers);
      await settle(REST_MS);
      return allBytes(three);
    };
    const attachElsewhere = async (): Promise<Sample> => {
      await two.container('elsewhere');
      const control = openControl(two);
      const idleFor = async (work: () => Promise<void>) => {
        const before = await trafficOf(three);
        await work();
        return difference(before, await trafficOf(three));
      };
      const idle = await idleFor(() => settle(2 * ATTACHES * PAUSE_MS));
      const busy = await idleFor(async () => {
        for (let turn = 0; turn < ATTACHES; turn++) {
          await connect(control, foreign, 'elsewhere');
          await settle(PAUSE_MS);
          await disconnect(control, foreign, 'elsewhere');
          await settle(PAUSE_MS);
        }
      });
      control.close();
      await two.deleteContainer('elsewhere');
      const { gossip, store } = difference(idle, busy);
      return { 'interest-attach-gossip': gossip! / ATTACHES, 'interest-attach-store': store! / ATTACHES };
    };
    const churnElsewhere = async () => {
      const cpuWhile = async () => {
        const before = allCpuMs(three);
        await settle(CHURN_MS);
        return allCpuMs(three) - before;
      };
      const idle = await cpuWhile();
      await elsewhere.churn(CHURN_RATE);
      const busy = await cpuWhile();
      await elsewhere.churn(0);
      return ((busy - idle) / CHURN_MS) * 100;
    };
    return {
      async measure(): Promise<Sample> {
        const none = await memoryWith(0, 0);
        const allHere = await memoryWith(ENDPOINTS, 0);
        const allElsewhere = await memoryWith(0, ENDPOINTS);
        const spread = await memoryWith(ON_NETWORKS_HERE, ENDPOINTS - ON_NETWORKS_HERE);
        const rows = Number(await three.must(['bash', '-c', ROWS]));
        const attach = await attachElsewhere();
        const churn = await churnElsewhere();
        await here.setEndpoints(0);
        await elsewhere.setEndpoints(0);
        return {
          'interest-memory-here': (allHere - none) / ENDPOINTS,
          'interest-memory-elsewhere': (allElsewhere - none) / ENDPOINTS,
          'interest-memory': (spread - none) / MIB,
          'interest-rows': rows / ENDPOINTS,
          ...attach,
          'interest-churn': churn,
        };
      },
      async close() {
        here.close();
        elsewhere.close();
      },
    };
  },
};

export const interest: readonly Experiment[] = [memberOfFew];
