import { fileURLToPath } from 'node:url';
import type { Host } from '../../lab/host.ts';
import { startInside } from '../../lab/inside-process.ts';
import { INTERNET } from '../../lab/internet.ts';
import { until } from '../../lab/until.ts';
import { gatewayOf, openControl } from '../control.ts';
import {
  FIRST,
  fullLoad,
  type LoadOptions,
  latencies,
  queriesPerSecond,
  questions,
  STEADY_RATE,
  steadyLoad,
} from '../dns-load.ts';
import { startLoad } from '../load.ts';
import { inEngineContainer } from '../lookout.ts';
import {
  type Experiment,
  floor,
  goal,
  lower,
  OVERLAYD,
  type Prepared,
  type Row,
  type Sample,
  type Side,
  SWARM,
  stretch,
} from '../row.ts';
import { NETWORK, removeContainers, type SharedLab, startContainer } from '../shared-lab.ts';

const ECHO = fileURLToPath(new URL('../programs/echo-answer.ts', import.meta.url));
const ECHO_PORT = 5300;
/** Where containers of Docker ask: overlayd answers there itself, and so does Swarm by Docker's server. */
const DOCKER_RESOLVER = '127.0.0.11';
/** An upstream server that answers at once. */
const UPSTREAM = '198.51.100.2';
const FILE = '/tmp/questions';
const HOST_FILE = '/run/questions';
/** A bridge of Docker's. */
const FLOOR_NETWORK = 'floor';
const FULL_SECONDS = 1;
/** One delay of a moment is not a hundredth of all. */
const STEADY_SECONDS = 3;

const DIRECT: Side = { ...OVERLAYD, label: 'overlayd, gateway' };
const BY_DOCKER: Side = { name: 'overlayd-docker', column: 'overlayd', label: 'overlayd, at 127.0.0.11' };
const FLOOR_BY_DOCKER: Side = { name: 'floor-docker', column: 'floor', label: "Node socket, by Docker's 127.0.0.11" };

/** Rows of one kind of name; the last three are asked where containers of Docker ask. */
function rowsOf(name: string, what: string, judged: boolean): readonly Row[] {
  const rows = (infix: string, how: string): Row[] => [
    {
      name: `${name}${infix}-qps`,
      title: `${what}${how}, as many as go`,
      unit: '1/s',
      better: 'higher',
      goals: judged ? [goal(1.5, 'swarm'), stretch(3, 'swarm')] : [],
    },
    { name: `${name}${infix}-p50`, title: `${what}${how}, p50`, unit: 'ms', better: 'lower' },
    {
      name: `${name}${infix}-p99`,
      title: `${what}${how}, p99`,
      unit: 'ms',
      better: 'lower',
      goals: judged ? [goal(1, 'swarm')] : [],
    },
  ];
  return [...rows('', ''), ...rows('-docker', ', at 127.0.0.11')];
}

/** Swarm's figures stand in the rows of both ways to ask overlayd. */
function sampleOf(name: string, side: string, figures: { qps: number; p50: number; p99: number }): Sample {
  const infixes = side === 'swarm' ? ['', '-docker'] : [side.endsWith('-docker') ? '-docker' : ''];
  const sample = (infix: string) =>
    Object.entries(figures).map(([figure, value]) => [`${name}${infix}-${figure}`, value]);
  return Object.fromEntries(infixes.flatMap(sample));
}

/** Runs dnsperf somewhere, with the file of questions that is there. */
type Run = (load: typeof fullLoad, asked: Omit<LoadOptions, 'file'>) => Promise<string>;

interface Asker {
  readonly run: Run;
  /** The same, before all others. */
  readonly runFirst: Run;
}

type Asked = Pick<LoadOptions, 'server' | 'port'>;

async function load({ run, runFirst }: Asker, asked: Asked) {
  const qps = queriesPerSecond(await run(fullLoad, { ...asked, seconds: FULL_SECONDS }));
  return { qps, ...latencies(await runFirst(steadyLoad, { ...asked, seconds: STEADY_SECONDS })) };
}

/** In the host's own namespace, or where `enter` leads. */
function askerOf(host: Host, enter: readonly string[] = [], run?: Run): Asker {
  const before =
    (prefix: readonly string[]): Run =>
    (load, asked) =>
      host.must([...prefix, ...enter, ...load({ ...asked, file: HOST_FILE })]);
  return { run: run ?? before([]), runFirst: before(FIRST) };
}

/**
 * Containers that ask, with the name server that they have by default; Swarm's forwards to `UPSTREAM` itself, and the floor's,
 * which are on none of overlayd's networks, to the socket of Node in a container beside it.
 */
async function openAskers(host: Host, names: readonly string[]) {
  const { engine } = host;
  await engine.mustDocker('network', 'create', FLOOR_NETWORK);
  const echoAddress = await startContainer(host, 'echo', FLOOR_NETWORK);
  const echoPid = await engine.mustDocker('inspect', '--format', '{{.State.Pid}}', 'echo');
  const echo = await startInside(host, ['nsenter', '-t', echoPid.trim(), '-n', 'node', ECHO, echoAddress.trim(), '53']);
  await startContainer(host, 'asking-overlayd', NETWORK.overlayd);
  await startContainer(host, 'asking-swarm', NETWORK.swarm, '--dns', UPSTREAM);
  await startContainer(host, 'asking-floor-docker', FLOOR_NETWORK, '--dns', echoAddress.trim());
  const own = ['asking-swarm', 'asking-floor-docker'];
  const input = questions(names);
  await host.must(['sh', '-c', `cat > ${HOST_FILE}`], { input });
  const open = async (container: string) => {
    await engine.mustDocker('exec', container, 'sh', '-c', `cat > ${FILE} <<END\n${input}END`);
    return askerOf(host, await inEngineContainer(host, container), (load, asked) =>
      engine.mustDocker('exec', container, ...load({ ...asked, file: FILE })),
    );
  };
  const [overlayd, swarm, floorDocker] = [
    await open('asking-overlayd'),
    await open('asking-swarm'),
    await open('asking-floor-docker'),
  ];
  const of = (side: string) => (side === 'swarm' ? swarm : side === 'floor-docker' ? floorDocker : overlayd);
  const close = async () => {
    echo.end();
    await removeContainers(host, 'echo', 'asking-overlayd', ...own);
    await engine.mustDocker('network', 'rm', FLOOR_NETWORK);
  };
  return { of, close };
}

const LOCAL_NAMES = ['one', 'two'].flatMap((host) => Array.from({ length: 5 }, (_, index) => `${host}-${index + 1}`));

/** On each of two hosts a container with five names on each network. */
async function startNamed({ hosts }: SharedLab): Promise<() => Promise<void>> {
  const [one, two, three] = hosts;
  const named = { one: two, two: three };
  for (const [prefix, host] of Object.entries(named)) {
    const aliases = LOCAL_NAMES.filter((name) => name.startsWith(`${prefix}-`)).map(
      (name) => `--network-alias=${name}`,
    );
    await startContainer(host, 'named-overlayd', NETWORK.overlayd, ...aliases);
    await startContainer(host, 'named-swarm', NETWORK.swarm, ...aliases);
  }
  const control = openControl(one);
  await until('the names', async () => {
    const { endpoints } = await control.listEndpoints({ network: NETWORK.overlayd, node: '' });
    return endpoints.filter(({ aliases }) => aliases.length >= 5).length === 2;
  });
  control.close();
  return async () => {
    for (const host of Object.values(named)) await removeContainers(host, 'named-overlayd', 'named-swarm');
  };
}

/** A socket of Node in the network's namespace that answers everything. */
async function openEcho(host: Host) {
  const control = openControl(host);
  const { vni } = await control.getNetwork({ ref: NETWORK.overlayd });
  control.close();
  const server = await gatewayOf(host, NETWORK.overlayd);
  const inside = ['nsenter', `--net=/run/netns/ovl-${vni}`];
  const echo = await startInside(host, [...inside, 'node', ECHO, server, String(ECHO_PORT)]);
  return { asked: { server, port: ECHO_PORT }, end: () => echo.end() };
}

const METHOD = `dnsperf in a container, 8 clients with 48 questions outstanding together, for a second; then ${STEADY_RATE} \
questions a second for ${STEADY_SECONDS} seconds, for how long an answer takes: there dnsperf goes before all others (\`chrt --rr\`), on all sides, \
for what it waits for a processor itself is no part of an answer. Every answer must have an address.`;

/** Containers that have names, who asks for them, and the floor; `close` ends all of it. */
async function prepareNames(context: Parameters<Experiment['prepare']>[0]) {
  const shared = await context.sharedLab();
  const [one] = shared.hosts;
  const stopNamed = await startNamed(shared);
  const askers = await openAskers(one, LOCAL_NAMES);
  const echo = await openEcho(one);
  const close = async () => {
    echo.end();
    await askers.close();
    await stopNamed();
  };
  return { askers, close, echo, one };
}

const local: Experiment = {
  name: 'dns-local',
  title: 'Names of containers, asked from a container',
  method: `${METHOD} Ten names of two containers on two other hosts. Once at overlayd's responder (the gateway's address, \
as a container has it that \`overlayd network connect\` attached), once at ${DOCKER_RESOLVER}, where containers of Docker \
ask. Swarm answers there by Docker's own name server. Floor: a socket of Node in the network's namespace that answers \
everything with one and the same address; at ${DOCKER_RESOLVER}, the same in a container beside the asking one, both on a \
bridge of Docker's, which has that given to Docker (\`--dns\`): what Docker's server leaves of it.`,
  sides: [DIRECT, BY_DOCKER, SWARM, floor('Node socket'), FLOOR_BY_DOCKER],
  rows: rowsOf('dns-local', 'names of containers', true),
  lab: 'shared',
  rounds: 5,
  quickRounds: 2,
  async prepare(context): Promise<Prepared> {
    const { askers, close, echo, one } = await prepareNames(context);
    const gateway = await gatewayOf(one, NETWORK.overlayd);
    const servers: Readonly<Record<string, Asked>> = {
      overlayd: { server: gateway },
      'overlayd-docker': { server: DOCKER_RESOLVER },
      swarm: { server: DOCKER_RESOLVER },
      'floor-docker': { server: DOCKER_RESOLVER },
      floor: echo.asked,
    };
    return {
      measure: async (side) => sampleOf('dns-local', side, await load(askers.of(side), servers[side]!)),
      close,
    };
  },
};

/** Endless loops. */
const LOOPS = 9;
/** They end by themselves then, should the benchmark not end them. */
const LOAD_SECONDS = 40;

const busy: Experiment = {
  name: 'dns-busy',
  title: 'Names of containers on a busy host',
  method: `The same names as in "Names of containers", asked at ${DOCKER_RESOLVER}, ${STEADY_RATE} questions a second for ${STEADY_SECONDS} \
seconds, while ${LOOPS} endless loops, started and ended by the benchmark, keep all processors busy. dnsperf goes before all others, as \
there. Floor: a socket of Node in the network's namespace, \
asked there, which has its turn as any other process.`,
  sides: [{ ...OVERLAYD, label: 'overlayd, at 127.0.0.11' }, SWARM, floor('Node socket')],
  rows: [
    lower('dns-busy-p50', 'busy host: names of containers, p50', 'ms'),
    lower('dns-busy-p99', 'busy host: names of containers, p99', 'ms', goal(1, 'swarm')),
  ],
  lab: 'shared',
  rounds: 5,
  quickRounds: 2,
  async prepare(context): Promise<Prepared> {
    const { askers, close, echo } = await prepareNames(context);
    return {
      async measure(side): Promise<Sample> {
        const asked = side === 'floor' ? echo.asked : { server: DOCKER_RESOLVER };
        const loops = startLoad(LOOPS, LOAD_SECONDS);
        try {
          const { runFirst } = askers.of(side);
          const { p50, p99 } = latencies(await runFirst(steadyLoad, { ...asked, seconds: STEADY_SECONDS }));
          return { 'dns-busy-p50': p50, 'dns-busy-p99': p99 };
        } finally {
          loops.end();
        }
      },
      close,
    };
  },
};

const FOREIGN_NAMES = Array.from({ length: 1_000 }, (_, index) => `n${index + 1}.example`);

const forwarded: Experiment = {
  name: 'dns-forwarded',
  title: 'Names of the world outside, asked from a container',
  method: `${METHOD} A thousand names that a server outside knows, which answers at once: a socket of Node two hops away. \
overlayd as in "Names of containers"; Swarm's containers have that server given to Docker (\`--dns\`). Floor: the server \
itself, asked from the host; at ${DOCKER_RESOLVER}, as there.`,
  sides: [DIRECT, BY_DOCKER, SWARM, floor('the server'), FLOOR_BY_DOCKER],
  rows: rowsOf('dns-forwarded', 'names outside', false),
  lab: 'shared',
  rounds: 5,
  quickRounds: 2,
  async prepare(context): Promise<Prepared> {
    const shared = await context.sharedLab();
    const [one] = shared.hosts;
    const { internet } = shared.lab;
    await internet.must(['ip', 'addr', 'add', `${UPSTREAM}/32`, 'dev', 'lo']);
    const upstream = await startInside(internet, ['node', ECHO, UPSTREAM, '53']);
    const setUpstream = (server: string) => one.must(['sh', '-c', `echo nameserver ${server} > /etc/resolv.conf`]);
    await setUpstream(UPSTREAM);
    const askers = await openAskers(one, FOREIGN_NAMES);
    const gateway = await gatewayOf(one, NETWORK.overlayd);
    const servers: Readonly<Record<string, string>> = { overlayd: gateway, floor: UPSTREAM };
    return {
      async measure(side): Promise<Sample> {
        const asker = side === 'floor' ? askerOf(one) : askers.of(side);
        return sampleOf('dns-forwarded', side, await load(asker, { server: servers[side] ?? DOCKER_RESOLVER }));
      },
      async close() {
        await setUpstream(INTERNET);
        upstream.end();
        await internet.must(['ip', 'addr', 'del', `${UPSTREAM}/32`, 'dev', 'lo']);
        await askers.close();
      },
    };
  },
};

export const dns: readonly Experiment[] = [local, busy, forwarded];
