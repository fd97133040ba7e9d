/**
 * Failures that overlay networks really had, as scenarios, and the tests that show what happens here. `npm run faults` runs them,
 * `docs/faults.md` lists them; what is not tested says why.
 */
import { e2e, netns, type Scenario, sim } from './scenario.ts';
import { STORE_SCENARIOS } from './store-scenarios.ts';

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'cut-off',
    title: 'A host is cut off for 20 s and returns: every name resolves on every host, by itself',
    limit: '2 s after the cut',
    limitsMs: { '': 2_000 },
    proofs: [e2e('faults/hosts.test.ts', 'for 20 seconds'), sim('flapping.test.ts', 'a host that was cut off')],
  },
  {
    name: 'long-cut',
    title: 'The same for longer than any list of the dead is kept',
    limit: '10 s after the cut',
    limitsMs: { '': 10_000 },
    proofs: [
      e2e('faults/hosts.test.ts', 'for longer than anybody remembers'),
      sim('flapping.test.ts', 'a host that was cut off'),
    ],
    why: 'real agents are cut off for 90 s, simulated ones for ten minutes',
  },
  {
    name: 'split',
    title:
      'Five hosts are split three to two, both sides attach and detach: the side with etcd goes on, the other serves what it has and refuses the rest; no address is there twice',
    limit: 'refused within 5 s, whole 10 s after the split',
    limitsMs: { refusal: 5_000, 'whole again': 10_000 },
    mayLose: 0,
    proofs: [
      e2e('faults/hosts.test.ts', 'claims where etcd is'),
      sim('cluster.test.ts', 'a minority serves what it has'),
      sim('chaos.test.ts'),
    ],
  },
  {
    name: 'container-killed',
    title: 'A container ends without a word: its name is gone everywhere',
    limit: '2 s',
    limitsMs: { '': 2_000 },
    proofs: [
      e2e('faults.test.ts', 'a container’s namespace is deleted'),
      sim('cluster.test.ts', 'a container that dies'),
    ],
  },
  {
    name: 'host-off',
    title: 'A host loses power: its names leave the answers, its addresses are nobody else’s',
    limit: 'names within 15 s; addresses until it is back or removed, and quarantined then',
    limitsMs: { '': 15_000, 'after a farewell': 15_000 },
    proofs: [
      e2e('faults/hosts.test.ts', 'a host that loses power'),
      e2e('faults.test.ts', 'a host loses power'),
      e2e('farewell.test.ts', 'where its host goes as well'),
      sim('cluster.test.ts', 'a host that reboots'),
    ],
  },
  {
    name: 'moved-endpoints',
    title:
      'Everything is detached and attached elsewhere: rows are exactly what is wanted, and a second look writes nothing',
    limit: '0 rows too many, 0 writes',
    proofs: [sim('chaos.test.ts'), netns('kernel/soak.test.ts')],
  },
  {
    name: 'drift',
    title: 'Somebody deletes a row, a port, a rule, a device, a namespace: it is put back and counted',
    limit: '5 s',
    limitsMs: { '': 5_000 },
    proofs: [
      e2e('faults.test.ts', 'what somebody removed by hand'),
      netns('kernel/damage.test.ts'),
      sim('damage.test.ts'),
    ],
  },
  {
    name: 'agent-killed',
    title: 'Agents are killed and started under traffic: no packet is lost, no row changes',
    limit: '0 packets, 0 rows',
    mayLose: 0,
    proofs: [e2e('faults.test.ts', 'the agents are killed and started again')],
  },
  {
    name: 'agent-stopped',
    title:
      'An agent stops in order and is away for longer than a silence is tolerated: its names stay on every host, for a minute at most and while its host is there',
    limit: '0 packets, 0 answers',
    mayLose: 0,
    proofs: [e2e('farewell.test.ts', 'ended in order'), sim('farewell.test.ts')],
  },
  {
    name: 'killed-anywhere',
    title:
      'An agent is killed at any step of attach and detach: the endpoint is whole afterwards, or nothing is left of it',
    limit: '10 s',
    proofs: [sim('endpoint-claims.test.ts', 'while it'), sim('chaos.test.ts'), e2e('kills.test.ts')],
  },
  {
    name: 'join-leave-loops',
    title: 'Thousands of attaches and detaches at once on one host: no "exists", no device left',
    limit: '0 left',
    proofs: [netns('kernel/soak.test.ts')],
  },
  {
    name: 'reboot-before-etcd',
    title: 'A host starts a minute before etcd does: networks are back by themselves',
    limit: '10 s after etcd is there',
    limitsMs: { '': 10_000 },
    proofs: [
      e2e('faults/store.test.ts', 'a host that starts before etcd'),
      e2e('docker/faults.test.ts', 'a host that is reset while etcd is away'),
      sim('docker-boot.test.ts'),
    ],
  },
  {
    name: 'leaks',
    title: 'Attaches, detaches, crashes: addresses in use in etcd are those of endpoints that live',
    limit: '0 leaked',
    proofs: [sim('chaos.test.ts'), sim('docker-chaos.test.ts')],
  },
  {
    name: 'network-full',
    title: 'A network is full: one more is refused with the counts, and taken when somebody leaves',
    limit: '1 s',
    limitsMs: { '': 1_000 },
    proofs: [e2e('races.test.ts', 'a full network refuses')],
  },
  {
    name: 'same-claim',
    title: 'Hosts race for a name, a VNI, a subnet, an address: exactly one has it',
    limit: '1 winner, whatever the seed',
    proofs: [e2e('races.test.ts'), sim('cluster.test.ts', 'never gives')],
  },
  {
    name: 'stopped-agent',
    title: 'An agent is stopped for longer than its lease: no peer takes rows away, its keys are back when it goes on',
    limit: '5 s after it goes on; 0 packets',
    limitsMs: { '': 5_000 },
    mayLose: 0,
    proofs: [
      e2e('faults/hosts.test.ts', 'an agent that is stopped'),
      e2e('etcd/outage.test.ts', 'one that is blocked'),
    ],
  },
  ...STORE_SCENARIOS,
  {
    name: 'busy-host',
    title: 'One of 20 hosts has no CPU left for two minutes: none of the others is taken for dead',
    limit: '0 of the others',
    proofs: [sim('scale.test.ts', 'of 20 nodes of which one')],
    why: 'twenty agents on one machine would all be starved; see also `npm run sim -- --starved`',
  },
  {
    name: 'flapping',
    title:
      '5 % loss and up to 300 ms of delay while tasks come and go every 5 s for ten minutes: answers never have more than one that is gone',
    limit: 'exact 2 s after quiet',
    proofs: [sim('flapping.test.ts', 'answers of a name whose tasks')],
    why: 'in virtual time: the lab has no way to delay packets on every kernel',
  },
  {
    name: 'random-histories',
    title:
      'Joins, leaves, crashes, cuts, clocks, restores, as the seed says: all tables are equal in the end, and all kernels are what etcd says',
    limit: 'any seed',
    proofs: [
      sim('chaos.test.ts'),
      sim('restore-chaos.test.ts'),
      sim('store-chaos.test.ts'),
      sim('docker-chaos.test.ts'),
      sim('oracle.test.ts'),
    ],
  },
  {
    name: 'mtu',
    title: 'The underlay’s MTU is lowered: large packets pass, and the MTU is shown',
    limit: '5 s',
    limitsMs: { '': 5_000 },
    proofs: [
      e2e('docker/options.test.ts', 'follows links and routes'),
      e2e('encryption-mtu.test.ts'),
      e2e('ipv6-underlay.test.ts', 'members that have addresses of IPv6 alone'),
    ],
  },
  {
    name: 'checksums',
    title: 'A device whose offload breaks checksums: it is told by name',
    limit: 'it is named',
    proofs: [e2e('doctor-paths.test.ts', 'wrong checksum')],
  },
  {
    name: 'mac-policy',
    title: 'systemd gives new links MAC addresses of its own: links keep what they were made with',
    limit: 'every link',
    proofs: [netns('kernel/data-path.test.ts')],
    why: 'MACs are set in the message that makes a link, which systemd leaves alone; no systemd runs in the lab',
  },
  {
    name: 'address-change',
    title: 'A host’s address on the underlay changes: all follow',
    limit: '10 s',
    limitsMs: { '': 10_000 },
    proofs: [e2e('address-change.test.ts', 'is followed by everybody')],
  },
  {
    name: 'parallel-questions',
    title: 'A and AAAA are asked for at once, again and again: none waits',
    limit: 'none longer than 1 s',
    proofs: [netns('dns/responder.test.ts', 'as the C library does')],
    why: 'no NAT lies between a container and its responder; the rate is in `npm run bench -- dns`',
  },
  {
    name: 'upstream-down',
    title: 'The upstream name server is dead: own names are answered as ever, others with SERVFAIL',
    limit: '3 s',
    proofs: [netns('dns/responder.test.ts', 'get SERVFAIL when')],
  },
  {
    name: 'many-addresses',
    title: 'A name has 400 addresses: UDP says that it is cut, TCP has all',
    limit: 'all',
    proofs: [netns('dns/responder.test.ts', 'for a name with four hundred addresses')],
  },
  {
    name: 'many-endpoints',
    title: 'More containers than a bridge has ports: said before, refused then',
    limit: 'before it is hit',
    proofs: [sim('full-network.test.ts')],
  },
  {
    name: 'nothing-in-clear',
    title:
      'Nothing of an encrypted network is seen on the underlay, whatever starts, ends, joins, leaves or is exchanged; where WireGuard is missing it is refused',
    limit: '0 packets',
    proofs: [e2e('encryption-capture.test.ts'), e2e('encryption-injection.test.ts'), sim('encryption.test.ts')],
  },
  {
    name: 'counter-wrap',
    title: 'So many packets that a counter of 32 bits wraps',
    limit: '–',
    proofs: [],
    why: 'WireGuard’s counters have 64 bits, and a session ends long before',
  },
  {
    name: 'internal-names',
    title: 'What containers of an internal network ask never leaves it',
    limit: '0 packets',
    proofs: [
      e2e('names.test.ts', 'on an internal network they are refused'),
      netns('dns/responder.test.ts', 'never leave an internal network'),
    ],
  },
  {
    name: 'forged-records',
    title: 'A member says what is another’s: its endpoint, its address, its tunnel',
    limit: 'refused, and named',
    proofs: [sim('hearsay.test.ts'), e2e('encryption-members.test.ts')],
  },
  {
    name: 'bad-token',
    title: 'A token that is used up, expired, revoked, or of another cluster’s CA',
    limit: 'refused',
    proofs: [e2e('join.test.ts')],
  },
  {
    name: 'certificates',
    title: 'Certificates are renewed while agents run: connections stand, no member is started anew',
    limit: '0 restarts',
    proofs: [e2e('certificates.test.ts')],
  },
  {
    name: 'clocks',
    title: 'A host’s clock is set by a day',
    limit: '0 packets',
    proofs: [e2e('clock-jumps.test.ts'), e2e('clock.test.ts'), sim('clocks.test.ts'), sim('key-exchange.test.ts')],
  },
  {
    name: 'abuse',
    title: 'Large messages and floods by who has no certificate',
    limit: '50 MB',
    proofs: [e2e('abuse.test.ts')],
  },
];
