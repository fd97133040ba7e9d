/** A command run without an agent: what it asks is recorded, what it prints is kept. */
import { vi } from 'vitest';
import type { ControlClient } from '../../../src/cli/client.ts';
import { runCommand } from '../../../src/cli/program.ts';
import type { Surroundings } from '../../../src/cli/session.ts';
import { OverlaydError } from '../../../src/core/errors.ts';
import {
  ClusterResult,
  DnsSet,
  Endpoint,
  type IpamFinding,
  type Kept,
  Network,
  Node,
  Status,
  Token,
} from '../../../src/gen/overlayd/v1/control.ts';

export const NETWORK_ID = '5f1c0a9e7d3b2846'.repeat(4);
export const ENDPOINT_ID = 'ab34ef5601c2d7e8'.repeat(4);
export const NODE_ID = '0c11223344556677'.repeat(2);
export const TOKEN = `OVLTKN-1-${'1'.repeat(50)}-abcdefgh-${'z'.repeat(31)}`;
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

const ANSWERS = {
  getStatus: () => status,
  initCluster: () => joined,
  joinCluster: () => joined,
  leaveCluster: () => joined,
  listNodes: () => ({ nodes: [node] }),
  getNode: () => node,
  removeNode: (request: { ref: string }) => ({ ref: request.ref }),
  createToken: () => ({ id: 'abcdefgh', token: TOKEN, joinCommand: joined.joinCommand, expiresAtMs: NOW }),
  listTokens: () => ({ tokens: [token] }),
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
  checkIpam: () => ({ revision: 42, findings: [] as IpamFinding[] }),
  repairIpam: () => ({ revision: 42, findings: [] as IpamFinding[] }),
  releaseKept: () => ({ kept: [] as Kept[] }),
  connect: () => ({ endpoint, warnings: [] as string[] }),
  disconnect: () => endpoint,
  listEndpoints: () => ({ endpoints: [endpoint] }),
  getEndpoint: () => endpoint,
};

type Method = keyof typeof ANSWERS;
type Answers = { [M in Method]?: (request: never, onProgress: (message: string) => void) => unknown };

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
    client[method] = async (request: never, onProgress: (message: string) => void) => {
      asked.push([method, request]);
      return answer(request, onProgress);
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
    environment: {},
    readFile: async (path) => {
      throw new Error(`ENOENT: no such file or directory, open '${path}'`);
    },
    ask: async () => 'n',
    now: () => NOW,
    runDir: async (flags) => flags.get('--run-dir') ?? '/run/overlayd',
    connect: async (path) => {
      socketPaths.push(path);
      if (options.noAgent) throw new OverlaydError('agent-not-running', `no agent answers at ${path}`);
      return client as unknown as ControlClient;
    },
    runAgent: async () => {},
    ...options.surroundings,
  };
  const args = typeof line === 'string' ? line.split(' ').filter((word) => word !== '') : line;
  const code = await runCommand(args, surroundings);
  return { code, out, error, asked, socketPaths };
}
