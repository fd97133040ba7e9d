/** A command run without an agent: what it asks is recorded, what it prints is kept. */
import { vi } from 'vitest';
import type { ControlClient } from '../../../src/cli/client.ts';
import { runCommand } from '../../../src/cli/program.ts';
import type { Surroundings } from '../../../src/cli/session.ts';
import { OverlaydError } from '../../../src/core/errors.ts';
import {
  CaStatus,
  ClusterResult,
  Diagnosis,
  DnsSet,
  Endpoint,
  type EventsReply,
  type HostDrift,
  type IpamFinding,
  type Kept,
  Network,
  Node,
  Publication,
  type Service,
  Status,
  StoreReport,
  Token,
  Tunnel,
} from '../../../src/gen/overlayd/v1/control.ts';

export const NETWORK_ID = '5f1c0a9e7d3b2846'.repeat(4);
export const ENDPOINT_ID = 'ab34ef5601c2d7e8'.repeat(4);
export const NODE_ID = '0c11223344556677'.repeat(2);
export const TOKEN = `OVLTKN-1-${'1'.repeat(50)}-abcdefgh-${'z'.repeat(31)}`;
/** As proc(5) has it. */
const LINKS = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0: 8460144    5829    0    0    0     0          0         0   411002    3894    0    0    0     0       0          0
  eth1:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
`;
export const NOW = Date.parse('2026-03-01T12:00:00Z');

export const endpoint = Endpoint.fromPartial({
  id: ENDPOINT_ID,
  networkId: NETWORK_ID,
  networkName: 'web',
  nodeId: NODE_ID,
  nodeName: 'host1',
  name: 'api',
  aliases: ['backend'],
  address: '10.0.0.2',
  prefix: 24,
  addresses: [
    { subnet: '10.0.0.0/24', address: '10.0.0.2' },
    { subnet: 'fd00:0:0:1::/64', address: 'fd00:0:0:1::2' },
  ],
  mac: '02:42:0a:00:00:02',
  createdAtMs: NOW,
  container: 'netns:c1',
  tool: 'netns',
  ifname: 'eth0',
  state: 'up',
  ports: [
    { name: 'http', port: 8080, protocol: 'tcp' },
    { port: 53, protocol: 'udp' },
  ],
  labels: { team: 'a' },
});

export const network = Network.fromPartial({
  id: NETWORK_ID,
  name: 'web',
  vni: 4096,
  mtu: 1450,
  subnets: [{ cidr: '10.0.0.0/24', gateway: '10.0.0.1' }],
  attachable: true,
  labels: { team: 'shop' },
  createdAtMs: NOW,
  state: 'active',
  endpointCount: 1,
  endpoints: [endpoint],
  addresses: { total: 256, used: 1, reserved: 3, quarantined: 2, free: 250 },
});

export const tunnel = Tunnel.fromPartial({
  nodeId: 'ff',
  nodeName: 'host2',
  backend: 'kernel',
  device: 'ovlwg0',
  endpoint: '10.9.0.2:51840',
  lastHandshakeMs: NOW - 65_000,
  sentBytes: 4_404_019,
  receivedBytes: 312,
  mtu: 1_440,
});

export const node = Node.fromPartial({
  id: NODE_ID,
  name: 'host1',
  advertiseAddress: '10.9.0.1',
  vtep: '10.9.0.1',
  state: 'ready',
  self: true,
  endpoints: 1,
  joinedAtMs: NOW,
  version: '0.1.0',
  lowestLevel: 1,
  highestLevel: 1,
  wireguardBackend: 'kernel',
  wireguardKeys: [{ publicKey: 'a2V5', number: 7, port: 51_840 }],
});

export const token = Token.fromPartial({
  id: 'abcdefgh',
  role: 'member',
  createdAtMs: NOW,
  createdBy: 'host1',
  expiresAtMs: NOW + 90 * 60_000,
  usesLeft: -1,
});

export const status = Status.fromPartial({
  version: '0.1.0',
  state: 'ready',
  clusterId: 'c1d2',
  level: 1,
  levelHeldBackBy: ['host2 (0.1.0)'],
  self: node,
  store: { reachable: true, endpoints: ['https://10.9.0.1:2379'], bundled: true, revision: 42 },
  peers: [{ nodeId: 'ff', name: 'host2', address: '10.9.0.2:7946', state: 'alive', heardMsAgo: 1_200 }],
  networks: 1,
  localEndpoints: 1,
  endpoints: 3,
  reconcile: { passes: 9, writes: 12 },
  startedAtMs: NOW - 3_600_000,
  rssBytes: 80 * 2 ** 20,
  dataDir: '/var/lib/overlayd',
});

export const joined = ClusterResult.fromPartial({
  clusterId: 'c1d2',
  nodeId: NODE_ID,
  nodeName: 'host1',
  joinCommand: `overlayd join --token ${TOKEN} 10.9.0.1:2377`,
});

export const dnsSet = DnsSet.fromPartial({
  networkId: NETWORK_ID,
  networkName: 'web',
  name: 'db',
  type: 'A',
  values: ['192.0.2.9', '192.0.2.10'],
  ttlSeconds: 60,
  takenBy: 'container db on host host1',
});

export const caStatus = CaStatus.fromPartial({
  ...{ digest: 'a'.repeat(64), nextDigest: 'b'.repeat(64), expiresAtMs: NOW, phase: 'trust' },
  waiting: '1 of 2 members trust both CAs; waiting for host2 (down)',
  nodes: [
    { id: NODE_ID, name: 'host1', state: 'ready', keeper: true, trustsNext: true },
    { id: 'd3', name: 'host2', state: 'down', awaited: true },
  ],
});

export const service: Service = {
  ...{ id: 'f'.repeat(64), networkId: NETWORK_ID, networkName: 'web', alias: 'api' },
  ...{ addresses: ['10.20.0.100', 'fd00:20::100'], createdAtMs: NOW, automatic: false },
  backends: [
    { endpointId: '1'.repeat(64), name: 'api-1', nodeName: 'host1', address: '10.20.0.5', out: '' },
    { endpointId: '1'.repeat(64), name: 'api-1', nodeName: 'host1', address: 'fd00:20::5', out: '' },
    { endpointId: '2'.repeat(64), name: 'api-2', nodeName: 'host2', address: '10.20.0.6', out: 'unhealthy' },
  ],
};

const ANSWERS = {
  getStatus: () => status,
  diagnose: () => Diagnosis.fromPartial({}),
  initCluster: () => joined,
  joinCluster: () => joined,
  leaveCluster: () => joined,
  rotateKey: () => joined,
  rotateCa: () => joined,
  getCa: () => caStatus,
  listNodes: () => ({ nodes: [node] }),
  getNode: () => node,
  removeNode: (request: { ref: string }) => ({ ref: request.ref }),
  updateNode: () => ({ ref: NODE_ID }),
  promoteNode: () => joined,
  demoteNode: () => joined,
  resizeStore: () => ({}),
  getStoreStatus: () => StoreReport.fromPartial({ bundled: true, wanted: 1 }),
  backUpStore: () => ({ text: 'line\n', records: 7 }),
  restoreStore: () => joined,
  moveStore: () => joined,
  logInToStore: () => joined,
  getStoreRoles: () => ({ roles: [], users: [], commands: [], joiningRoles: [] }),
  createToken: () => ({ id: 'abcdefgh', token: TOKEN, joinCommand: joined.joinCommand, expiresAtMs: NOW }),
  listTokens: () => ({ tokens: [token] }),
  getToken: () => token,
  revokeToken: () => ({ ref: 'abcdefgh' }),
  createNetwork: () => network,
  listNetworks: () => ({ networks: [network] }),
  getNetwork: () => network,
  addSubnet: () => ({
    ...network,
    subnets: [...network.subnets, { cidr: '10.21.0.0/24', gateway: '10.21.0.1', ipRange: '', auxAddresses: {} }],
  }),
  removeNetwork: () => ({ id: NETWORK_ID, name: 'web', waitingFor: [] as string[] }),
  pruneNetworks: () => ({ names: ['old'], waitingFor: [] as string[] }),
  addDns: () => dnsSet,
  removeDns: () => ({ ref: 'db.web' }),
  listDns: () => ({ sets: [dnsSet] }),
  createService: () => service,
  removeService: () => ({ ...service, backends: [] }),
  getService: () => service,
  listServices: () => ({ services: [service] }),
  checkIpam: () => ({ revision: 42, findings: [] as IpamFinding[] }),
  repairIpam: () => ({ revision: 42, findings: [] as IpamFinding[] }),
  releaseKept: () => ({ kept: [] as Kept[] }),
  connect: () => ({ endpoint, warnings: [] as string[] }),
  expose: () => ({ endpoint, nameServers: ['10.0.0.1'], domain: 'web.overlayd.internal', namesAsked: false }),
  unexpose: () => endpoint,
  publish: () => ({ publication: undefined as Publication | undefined, warnings: [] as string[] }),
  unpublish: () => Publication.fromPartial({}),
  listPublications: () => ({ publications: [] as Publication[] }),
  disconnect: () => endpoint,
  listEndpoints: () => ({ endpoints: [endpoint] }),
  getEndpoint: () => endpoint,
  followEvents: () => undefined,
  findDrift: () => undefined,
};

type Method = keyof typeof ANSWERS;
type Told<M> = M extends 'followEvents' ? EventsReply : M extends 'findDrift' ? HostDrift : string;
type Answers = { [M in Method]?: (request: never, onTold: (told: Told<M>) => void, signal?: AbortSignal) => unknown };

export interface Run {
  readonly code: number;
  readonly out: string;
  readonly error: string;
  /** What the agent was asked, in order. */
  readonly asked: readonly (readonly [method: string, request: unknown])[];
  readonly socketPaths: readonly string[];
}

export interface RunOptions {
  readonly answers?: Answers;
  readonly surroundings?: Partial<Surroundings>;
  readonly noAgent?: boolean;
}

export async function run(line: string | readonly string[], options: RunOptions = {}): Promise<Run> {
  const asked: [string, unknown][] = [];
  const socketPaths: string[] = [];
  let out = '';
  let error = '';
  const client: Record<string, unknown> = { close: vi.fn() };
  for (const [method, answer] of Object.entries({ ...ANSWERS, ...options.answers })) {
    client[method] = async (request: never, onProgress: (told: unknown) => void, signal?: AbortSignal) => {
      asked.push([method, request]);
      return answer(request, onProgress, signal);
    };
  }
  const surroundings: Surroundings = {
    writeOut: (text) => {
      out += text;
    },
    writeError: (text) => {
      error += text;
    },
    terminal: { input: false, output: false, error: false },
    columns: 100,
    unread: new AbortController().signal,
    environment: {},
    writeFile: async () => undefined,
    files: memoryFiles(new Map([['/proc/self/net/dev', LINKS]])),
    toolProgram: async () => "my $socket = '/run/overlayd/plugins.sock'; # the overlayd agent",
    readFile: async (path) => {
      throw new Error(`ENOENT: no such file or directory, open '${path}'`);
    },
    ask: async () => 'n',
    now: () => NOW,
    sleep: async () => {},
    untilInterrupted: (work) => work(new AbortController().signal),
    openRemote: async ({ destination }) => {
      throw new OverlaydError('peer-unreachable', `ssh does not reach ${destination}`);
    },
    runDir: async (flags) => flags.get('--run-dir') ?? '/run/overlayd',
    connect: async (path) => {
      socketPaths.push(path);
      if (options.noAgent) throw new OverlaydError('agent-not-running', `no agent answers at ${path}`);
      return client as unknown as ControlClient;
    },
    runAgent: async () => {},
    runUi: async () => {},
    programs: {
      ...{ agent: ['overlayd', 'agent'], root: '/usr/lib/overlayd' },
      run: async () => ({ code: undefined, output: '' }),
      startAgent: async () => {
        throw new OverlaydError('agent-not-running', 'the agent does not start');
      },
      temporaryDirectory: async () => '/tmp/overlayd-made',
      removeTree: async () => false,
    },
    ...options.surroundings,
  };
  const args = typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line;
  const code = await runCommand(args, surroundings);
  return { code, out, error, asked, socketPaths };
}

/** By path, with what was written there. */
export function memoryFiles(files: Map<string, string>): Surroundings['files'] {
  return {
    read: async (path) => files.get(path),
    size: async (path) => files.get(path)?.length,
    list: async (directory) => {
      const inside = [...files.keys()].filter((path) => path.startsWith(`${directory}/`));
      return inside.map((path) => path.slice(directory.length + 1));
    },
    install: async (path, text) => void files.set(path, text),
    remove: async (path) => files.delete(path),
  };
}
