/**
 * The one table of the configuration. Each row is a flag `--some-name`, a variable `OVERLAYD_SOME_NAME` and a key
 * `some_name` of the file; resolving, `--help`, `docs/configuration.md` and the example file are made from it.
 */
import { WIREGUARD_PORT } from '../wireguard/offers.ts';
import { choice, collector, duration, listenPlace, path, port, seconds, type ValueKind } from './value-kind.ts';

export interface Option<T> {
  /** Kebab-case. */
  readonly name: string;
  readonly kind: ValueKind<T>;
  readonly fallback: T;
  readonly description: string;
}

function option<T>(name: string, kind: ValueKind<T>, fallback: T, description: string): Option<T> {
  return { name, kind, fallback, description };
}

const DAY_SECONDS = 86_400;
const DAY_MS = DAY_SECONDS * 1_000;

export const OPTIONS = {
  dataDir: option(
    'data-dir',
    path,
    '/var/lib/overlayd',
    "What must survive a reboot: this node's identity and endpoints, and the bundled etcd's data.",
  ),
  runDir: option(
    'run-dir',
    path,
    '/run/overlayd',
    'Where the agent keeps overlayd.sock, which the commands talk to, and what it has to find again after a crash.',
  ),
  logLevel: option('log-level', choice('error', 'warn', 'info', 'debug'), 'info', 'The least severe messages to log.'),
  logFormat: option('log-format', choice('text', 'json'), 'text', 'Log lines for people, or one JSON object each.'),
  metricsListen: option(
    'metrics-listen',
    listenPlace('socket'),
    { kind: 'run-dir' },
    'Where metrics are read, by HTTP at /metrics: metrics.sock in the run directory (socket), or another place of this host.',
  ),
  traces: option(
    'traces',
    collector,
    undefined,
    'Where an OpenTelemetry collector takes traces of what is asked of the agent (OTLP over HTTP).',
  ),
  joinPort: option('join-port', port, 2377, 'TCP port that admits joining hosts, when init or join name no other.'),
  gossipPort: option('gossip-port', port, 7946, 'TCP port for the other members, when init or join name no other.'),
  dataPathPort: option(
    'data-path-port',
    port,
    4789,
    'UDP port of the VXLAN data path, when init or join name no other.',
  ),
  wireguardPort: option(
    'wireguard-port',
    port,
    WIREGUARD_PORT,
    "UDP port of WireGuard, when init or join name no other; the next one is for the exchange of a host's keys.",
  ),
  wireguardKeyLifetimeMs: option(
    'wireguard-key-lifetime',
    duration({ min: 3_600_000, max: 3_650 * DAY_MS }),
    180 * DAY_MS,
    "After this long the host's WireGuard key is exchanged for a new one, without a lost packet.",
  ),
  docker: option(
    'docker',
    choice('on', 'off'),
    'on',
    'Whether the networks are offered to the Docker Engine of this host, should there be one.',
  ),
  dockerSocket: option('docker-socket', path, '/run/docker.sock', 'Where the Docker Engine answers its API.'),
  dockerPluginSocket: option(
    'docker-plugin-socket',
    path,
    '/run/docker/plugins/overlayd.sock',
    'Where the Docker Engine finds the agent as its network and IPAM driver; the file name is the driver name.',
  ),
  dockerNames: option(
    'docker-names',
    choice('direct', 'forward'),
    'direct',
    "Who answers Docker's containers at 127.0.0.11: overlayd itself, or Docker, which asks overlayd for the rest.",
  ),
  podmanPlugin: option(
    'podman-plugin',
    path,
    '/usr/local/libexec/netavark/overlayd',
    "Where Podman's netavark finds the agent's program (overlayd podman install); without one there Podman is offered nothing.",
  ),
  podmanNetworks: option(
    'podman-networks',
    path,
    '/etc/containers/networks',
    'The folder that Podman keeps its networks in: those of the cluster are offered there.',
  ),
  podmanStorage: option(
    'podman-storage',
    path,
    '/var/lib/containers/storage',
    "Podman's graphroot, where the names of its containers are read.",
  ),
  incusSocket: option(
    'incus-socket',
    path,
    '/var/lib/incus/unix.socket',
    'Where Incus answers its API, should there be one: its instances join the networks that their configuration names.',
  ),
  leaseTtlSeconds: option(
    'lease-ttl',
    seconds({ min: 2, max: 300 }),
    10,
    'After this long without a word from the agent, etcd no longer counts the node as live.',
  ),
  storeReplaceAfterMs: option(
    'store-replace-after',
    duration({ min: 5_000, max: 30 * DAY_MS }),
    600_000,
    'After this long without an answer from a member of the bundled etcd another host takes its place, if there is one.',
  ),
  quarantineSeconds: option(
    'quarantine',
    seconds({ min: 1, max: DAY_SECONDS }),
    60,
    'How long a released address is kept from automatic choice, so that nothing still talks to its last owner.',
  ),
  dnsTtlSeconds: option(
    'dns-ttl',
    seconds({ min: 0, max: DAY_SECONDS }),
    5,
    "Time to live of the names' answers; with a longer one, clients keep stale addresses longer.",
  ),
  gossipIntervalMs: option(
    'gossip-interval',
    duration({ min: 50, max: 60_000 }),
    1_000,
    'How often this node reconciles with a few other members; changes are pushed at once besides.',
  ),
  auditIntervalMs: option(
    'audit-interval',
    duration({ min: 500, max: 600_000 }),
    60_000,
    'How often the kernel is compared with what it should hold, besides whenever it tells of a change.',
  ),
} as const;

export type OptionKey = keyof typeof OPTIONS;

/** Every option with its value; times in the unit that its name says. */
export type Config = {
  readonly [K in OptionKey]: (typeof OPTIONS)[K] extends Option<infer T> ? T : never;
};

/** Where the file is looked for unless `--config` or `OVERLAYD_CONFIG` says otherwise; it need not exist. */
export const DEFAULT_CONFIG_FILE = '/etc/overlayd/overlayd.toml';
export const CONFIG_FLAG = '--config';
export const CONFIG_VARIABLE = 'OVERLAYD_CONFIG';

export function flagOf(name: string): string {
  return `--${name}`;
}

export function variableOf(name: string): string {
  return `OVERLAYD_${name.toUpperCase().replaceAll('-', '_')}`;
}

export function fileKeyOf(name: string): string {
  return name.replaceAll('-', '_');
}

/** The rows in the table's order, as values of any kind. */
export function optionRows(): readonly (readonly [OptionKey, Option<unknown>])[] {
  return Object.entries(OPTIONS) as unknown as [OptionKey, Option<unknown>][];
}
