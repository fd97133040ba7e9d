/** A cluster's etcd in memory, hosts that can found or join it, and what they were told. */
import { randomBytes } from 'node:crypto';
import { createPki } from '../../../../src/adapters/pki/pki.ts';
import { type AdmitDeps, admit } from '../../../../src/agent/cluster/admit.ts';
import type { Identity, IdentityState } from '../../../../src/agent/cluster/identity.ts';
import { type InitDeps, type InitOptions, initCluster } from '../../../../src/agent/cluster/init.ts';
import { type JoinDeps, type JoinOptions, joinCluster } from '../../../../src/agent/cluster/join.ts';
import { committingAlone } from '../../../../src/agent/view/commit.ts';
import type { Unfit } from '../../../../src/core/host-facts.ts';
import { formatHostPort, formatHttpUrl } from '../../../../src/core/host-port.ts';
import type { AgentVersion } from '../../../../src/core/levels.ts';
import { Sparing } from '../../../../src/core/sparing.ts';
import type { WireguardBackend } from '../../../../src/core/wireguard/state.ts';
import type { JsonFile } from '../../../../src/ports/files.ts';
import type { HostFacts } from '../../../../src/ports/host.ts';
import type { JoinClient, JoinRequest } from '../../../../src/ports/join.ts';
import type { Logger, Random } from '../../../../src/ports/runtime.ts';
import type { EtcdServer } from '../../../../src/ports/store.ts';
import { noUsers } from '../../../fixtures/keeper.ts';
import { MemoryEtcd } from '../../../sim/memory-store.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

export const pki = createPki();
/** The first agent that says what it speaks. */
export const FIRST_AGENT: AgentVersion = { version: '0.1.0', levels: { from: 1, to: 1 } };
export const DEFAULTS = {
  agent: FIRST_AGENT,
  joinPort: 2377,
  gossipPort: 7946,
  dataPathPort: 4789,
  wireguardPort: 51_840,
  certificateLifetimeMs: 90 * 86_400_000,
};
export const ADMISSION = { certificateLifetimeMs: DEFAULTS.certificateLifetimeMs, quarantineSeconds: 60 };
export const random: Random = { next: Math.random, hex: (bytes) => randomBytes(bytes).toString('hex') };

const NODE_OPTIONS = {
  advertiseAddr: '',
  dataPathAddr: '',
  dataPathPort: 0,
  wireguardPort: 0,
  joinPort: 0,
  gossipPort: 0,
  listenAddr: '',
  name: '',
  labels: {},
};
export const INIT: InitOptions = {
  ...NODE_OPTIONS,
  etcdEndpoints: ['http://10.9.9.9:2379'],
  etcdCa: '',
  etcdCert: '',
  etcdKey: '',
  defaultAddrPool: [],
  defaultAddrPoolMaskLength: 0,
  encrypt: '',
  storeMembers: 0,
};

export function memoryFile<T>(): JsonFile<T> & { content: T | undefined; saves: number } {
  const file = {
    content: undefined as T | undefined,
    saves: 0,
    load: async () => structuredClone(file.content),
    save: async (value: T) => {
      file.saves++;
      file.content = structuredClone(value);
    },
    remove: async () => {
      file.content = undefined;
    },
  };
  return file;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

export function recordingLogger(lines: LogLine[]): Logger {
  const at = (level: string) => (fields: object, message: string) => {
    lines.push({ level, message, fields: { ...fields } });
  };
  const logger: Logger = {
    error: at('error'),
    warn: at('warn'),
    info: at('info'),
    debug: at('debug'),
    child: () => logger,
  };
  return logger;
}

/** `bindProblem`: what is in the way of which port, by default nothing. */
export function hostFacts(
  name: string,
  addresses: readonly (readonly [link: string, address: string, unfit?: Unfit])[],
  bindProblem: HostFacts['bindProblem'] = async () => undefined,
): HostFacts {
  return {
    bootId: async () => `boot-${name}`,
    hostname: () => name,
    addresses: async () =>
      addresses.map(([link, address, unfit]) => ({ link, address, prefix: 24, ...(unfit && { unfit }) })),
    links: async () => ['lo', ...addresses.map(([link]) => link)],
    routes: async () => [{ destination: '192.168.0.0/16', link: 'eth0', onLink: true, gateways: [] }],
    nameServers: async () => [],
    lookUp: async () => [],
    linksTo: async () => new Map(),
    underlay: async () => ({ mtuBytes: 1500, limit: 'link eth0' }),
    bindProblem,
  };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class ClusterFixture {
  readonly clock = new VirtualClock(Date.now());
  readonly etcd = new MemoryEtcd({ clock: this.clock });
  readonly log: LogLine[] = [];
  readonly refusals = new Sparing({ limit: 10, windowMs: 60_000 });
  readonly logger = recordingLogger(this.log);
  readonly store = this.etcd.store('test');
  readonly commit = committingAlone(this.store);
  /** Ports that cannot be reached, `host:port`. */
  readonly closed = new Set<string>();
  readonly bundled = { running: false, removed: false };
  /** Where the member sees requests come from; undefined: from the joiner's address. */
  seenFrom: string | undefined;
  /** What runs WireGuard on all hosts. */
  wireguard: WireguardBackend | undefined = 'kernel';
  member: Identity | undefined;
  /** Of the member that admits. */
  agent = FIRST_AGENT;

  host(name: string, address: string, agent = FIRST_AGENT) {
    const file = memoryFile<IdentityState>();
    const store = this.etcd.store(name);
    const bundledEtcd: Pick<EtcdServer, 'ensure' | 'stop' | 'remove'> = {
      ensure: async ({ advertiseAddress }) => {
        this.bundled.running = true;
        return { endpoints: [formatHttpUrl({ scheme: 'https', host: advertiseAddress, port: 2379 })] };
      },
      stop: async () => {
        this.bundled.running = false;
      },
      remove: async () => {
        this.bundled.running = false;
        this.bundled.removed = true;
      },
    };
    const deps: Mutable<InitDeps & JoinDeps> = {
      facts: hostFacts(name, [['eth0', address]]),
      pki,
      clock: this.clock,
      random,
      file,
      etcd: bundledEtcd,
      openStore: () => ({ store, close: () => undefined }),
      joinClient: this.joinClient,
      wireguard: { backend: async () => this.wireguard },
      logger: this.logger,
    };
    const steps: string[] = [];
    const defaults = { ...DEFAULTS, agent };
    return {
      name,
      file,
      store,
      deps,
      steps,
      init: (options: Partial<InitOptions> = {}) =>
        initCluster(deps, { ...INIT, ...options }, defaults, (step) => steps.push(step)),
      join: (token: string, options: Partial<JoinOptions> = {}) => {
        const typed = { ...NODE_OPTIONS, token, address: '10.0.0.1:2377', ...options };
        return joinCluster(deps, typed, defaults, (step) => steps.push(step));
      },
    };
  }

  /** A cluster of one node, `n1`, that admits others. */
  async found(agent = FIRST_AGENT) {
    const host = this.host('n1', '10.0.0.1', agent);
    const outcome = await host.init();
    this.member = outcome.identity;
    this.agent = agent;
    return { host, identity: outcome.identity, token: tokenOf(outcome.joinCommand), joinCommand: outcome.joinCommand };
  }

  /** Lets time pass until the promise is settled, slowly: what is signed meanwhile takes real time. */
  async drive<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const mark = () => {
      settled = true;
    };
    promise.then(mark, mark);
    while (!settled) await this.clock.advance(1);
    return await promise;
  }

  admitDeps(): AdmitDeps {
    const { agent, clock, commit, logger, refusals, store } = this;
    return { agent, clock, commit, identity: () => this.member!, logger, pki, refusals, store, users: noUsers };
  }

  admit(request: JoinRequest) {
    const from = formatHostPort(this.seenFrom ?? request.advertiseAddress, 40_000);
    return admit(this.admitDeps(), request, from, ADMISSION);
  }

  readonly joinClient: JoinClient = {
    join: (_target, _digest, request) => this.admit(request),
    isMember: async () => undefined,
    probe: async (host, port) => (this.closed.has(`${host}:${port}`) ? `no answer from ${host}:${port}` : undefined),
  };
}

export function tokenOf(joinCommand: string): string {
  return /--token (\S+)/.exec(joinCommand)![1]!;
}
