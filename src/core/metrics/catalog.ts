/**
 * Every metric of the agent, as one table: what it shows comes from here, `docs/metrics.md` lists it, the dashboard and the alerts
 * name nothing else. Names by Prometheus' conventions: base units, `_total` for what only goes up. Labels have few values: members
 * and networks are capped, endpoints and containers are never named. Pure.
 */

export type MetricType = 'counter' | 'gauge' | 'histogram' | 'info';

export interface Metric {
  /** As it is written in a query: of a counter with `_total`, of an info with `_info`. */
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  readonly labels: readonly string[];
}

const metric =
  (type: MetricType) =>
  (name: string, help: string, labels: readonly string[] = []): Metric => ({ name, type, help, labels });
const counter = metric('counter');
const gauge = metric('gauge');
const histogram = metric('histogram');
const info = metric('info');

export const METRICS = {
  build: info('overlayd_build_info', 'The release of this agent.', ['version']),
  member: gauge(
    'overlayd_member',
    '1 while this host is a member of a cluster and does its part, 0 while it waits or cannot.',
  ),
  finding: gauge(
    'overlayd_finding',
    'How many findings there are of each code, as overlayd status and doctor tell them.',
    ['code', 'certain'],
  ),
  events: counter('overlayd_events_total', 'Events of this host, as overlayd events tells them.', ['type']),

  // the cluster as this host sees it
  members: gauge('overlayd_members', 'Members of the cluster as this host sees them, itself included.', ['state']),
  level: gauge('overlayd_level', 'The level of records and messages that the cluster speaks.'),
  networks: gauge('overlayd_networks', 'Networks of the cluster.'),
  endpoints: gauge('overlayd_endpoints', 'Endpoints of the cluster, of all hosts.'),
  localEndpoints: gauge('overlayd_local_endpoints', 'Endpoints of this host.'),
  networkLocalEndpoints: gauge(
    'overlayd_network_local_endpoints',
    'Endpoints of this host by network. Networks beyond the hundred with most of them are added up as (others).',
    ['network'],
  ),
  networkFreeAddresses: gauge(
    'overlayd_network_free_addresses',
    'Addresses of the network that nobody has, resting ones not counted; of networks of this host, a hundred at most.',
    ['network', 'family'],
  ),
  networkAddresses: gauge('overlayd_network_addresses', 'Addresses of the network in all, of those networks.', [
    'network',
    'family',
  ]),
  releasesPending: gauge('overlayd_address_releases_pending', 'Addresses that wait to be released until etcd answers.'),

  // the ways to the other members
  paths: gauge(
    'overlayd_paths',
    'Data paths to other members by state, of those that are probed: of plain networks and of encrypted ones.',
    ['encrypted', 'state'],
  ),
  pathLoss: gauge(
    'overlayd_path_loss_ratio',
    'Share of the last probes to the member that did not come back; of 64 members at most, those in trouble first.',
    ['encrypted', 'member'],
  ),
  pathRoundTrip: gauge('overlayd_path_round_trip_seconds', 'Round trip of the last probe that came back.', [
    'encrypted',
    'member',
  ]),
  pathMtu: gauge('overlayd_path_mtu_bytes', 'The largest packet inside of a network that came back; 0: not known.', [
    'encrypted',
    'member',
  ]),
  tunnels: gauge('overlayd_tunnels', 'WireGuard tunnels to other members by state.', ['state']),
  tunnelReceived: gauge('overlayd_tunnels_received_bytes', 'Bytes that the WireGuard tunnels of now have received.'),
  tunnelSent: gauge('overlayd_tunnels_sent_bytes', 'Bytes that the WireGuard tunnels of now have sent.'),
  wireguardEndings: counter(
    'overlayd_wireguard_endings_total',
    'How often what runs WireGuard ended and was started again.',
  ),

  // connecting, and the kernel
  attach: histogram(
    'overlayd_attach_duration_seconds',
    'Time to connect a container: claim, wiring and names. Not those of Docker, which asks in steps (overlayd_tool_call_duration_seconds).',
    ['result'],
  ),
  detach: histogram('overlayd_detach_duration_seconds', 'Time to take a container off its networks.', ['result']),
  reconcile: histogram(
    'overlayd_reconcile_duration_seconds',
    'Time of a pass that makes the kernel what it should be.',
    ['result'],
  ),
  kernelWrites: counter('overlayd_kernel_writes_total', 'Changes that passes have made in the kernel.'),
  kernelRepairs: counter('overlayd_kernel_repairs_total', 'Those that put back what something else had changed.'),
  kernelProblems: gauge('overlayd_kernel_problems', 'Causes for which the kernel does not have what it should.'),
  kernel: histogram(
    'overlayd_kernel_call_duration_seconds',
    'Time that a job for the kernel takes, waiting for its turn included.',
    ['call', 'result'],
  ),

  // etcd
  storeConnected: gauge('overlayd_store_connected', '1 while changes of etcd are heard, 0 while it is away.'),
  storeRevision: gauge('overlayd_store_revision', 'The highest revision of etcd that this host has heard of.'),
  storeKeepers: gauge('overlayd_store_keepers', 'Members that keep the bundled etcd; 0 with an etcd of your own.'),
  storeKeepersWanted: gauge('overlayd_store_keepers_wanted', 'How many are to keep it.'),
  store: histogram('overlayd_store_call_duration_seconds', 'Time of a call of etcd, whatever was tried for it.', [
    'call',
    'result',
  ]),
  certificateExpiry: gauge('overlayd_certificate_expiry_timestamp_seconds', 'When a certificate of this host ends.', [
    'certificate',
  ]),

  // front doors
  control: histogram(
    'overlayd_control_request_duration_seconds',
    'Time that a request of the command takes, by method.',
    ['method', 'result'],
  ),
  tool: histogram('overlayd_tool_call_duration_seconds', 'Time that a call of Docker, CNI or Podman takes.', [
    'tool',
    'call',
    'result',
  ]),
  dockerConnected: gauge(
    'overlayd_docker_connected',
    '1 while the Docker Engine answers; absent where none is looked for.',
  ),

  // names
  namesUp: gauge('overlayd_names_up', '1 while the process that answers names answers the agent.'),
  dnsAnswers: counter(
    'overlayd_dns_answers_total',
    'Answers to questions for names, by where they came from and their code.',
    ['source', 'rcode'],
  ),
  dnsDuration: histogram('overlayd_dns_answer_duration_seconds', 'Time from a question to its answer.', ['source']),
  dnsDropped: counter('overlayd_dns_dropped_total', 'Questions without an answer, by why.', ['reason']),
  dnsOverloaded: counter('overlayd_dns_overloaded_total', 'Questions refused at once, for too many were waiting.'),
  dnsMerged: counter(
    'overlayd_dns_merged_total',
    'Questions served by the reply to the same question of another asker.',
  ),
  dnsFailed: counter('overlayd_dns_upstream_failures_total', 'Questions that no upstream server answered in time.'),
  dnsWaiting: gauge('overlayd_dns_waiting', 'Questions that wait for an upstream server.'),
  namesCpu: counter('overlayd_names_cpu_seconds_total', 'Processor time of the process that answers names.'),
  namesMemory: gauge('overlayd_names_resident_memory_bytes', 'Resident memory of the process that answers names.'),

  // the agent's process, by the names that all programs have
  cpu: counter('process_cpu_seconds_total', 'Processor time of the agent.'),
  memory: gauge('process_resident_memory_bytes', 'Resident memory of the agent.'),
  startTime: gauge('process_start_time_seconds', 'When the agent was started, by the wall clock.'),
  openFiles: gauge('process_open_fds', 'Open file descriptors of the agent.'),
  diskFree: gauge('overlayd_data_disk_free_bytes', 'Room on the disk of the data directory.'),
  diskSize: gauge('overlayd_data_disk_size_bytes', 'Size of that disk.'),
  loopBusy: counter('overlayd_event_loop_busy_seconds_total', "Time that the agent's event loop was at work."),
} as const satisfies Readonly<Record<string, Metric>>;

export type MetricKey = keyof typeof METRICS;

/** Of OpenMetrics: what follows the last word of the name, where that is a unit. */
export function unitOf({ name, type }: Metric): string | undefined {
  const base = type === 'counter' ? name.replace(/_total$/, '') : name;
  return /_(seconds|bytes|ratio)$/.exec(base)?.[1];
}
