/** Scenarios of the store: etcd, whoever runs it, and the hosts that keep it. See `scenarios.ts`. */
import { e2e, type Scenario, sim, unit } from './scenario.ts';

export const STORE_SCENARIOS: readonly Scenario[] = [
  {
    name: 'half-open',
    title: 'A connection to etcd is half open: packets are dropped, nobody is told',
    limit: 'noticed within 10 s, mended within 10 s of the end; 0 packets',
    limitsMs: { noticed: 10_000, mended: 10_000 },
    mayLose: 0,
    proofs: [
      e2e('faults/store.test.ts', 'a connection to etcd that is half open'),
      e2e('etcd/outage.test.ts', 'when an endpoint goes silent'),
    ],
  },
  {
    name: 'half-open-member',
    title:
      'Of three members of the store the one that a host asks is cut off from it without a word: another one is asked',
    limit: 'a change within 10 s; 0 packets',
    limitsMs: { change: 10_000 },
    mayLose: 0,
    proofs: [e2e('faults/keepers.test.ts'), e2e('etcd/outage.test.ts', 'when an endpoint goes silent')],
  },
  {
    name: 'keepers-apart',
    title:
      'Hosts that keep the store are cut off from each other without a word: they have a leader soon after the cut',
    limit: '10 s after the cut',
    limitsMs: { whole: 10_000 },
    proofs: [
      e2e('faults/keepers.test.ts', 'cut off from each other without a word'),
      unit('agent/store/silent-peers.test.ts'),
    ],
  },
  {
    name: 'keeper-lost',
    title:
      'One of three hosts that keep the store loses power, whichever it is: changes go on, and it is one of three again when it is back; where it is not, another host takes its place',
    limit: 'a change on every other host within 10 s',
    limitsMs: { change: 10_000 },
    proofs: [
      e2e('store-members.test.ts', 'loses its power'),
      e2e('store-members.test.ts', 'one that is lost for long'),
      e2e('external-etcd-members.test.ts'),
      sim('store-members.test.ts'),
      sim('store-chaos.test.ts'),
    ],
  },
  {
    name: 'keepers-killed',
    title:
      'The etcd of one of three keepers after another is killed at any moment, under changes of every kind on four hosts: none is refused but for want of a leader, and what is said of each is so',
    limit: '0 changes refused (counted as packets)',
    mayLose: 0,
    proofs: [
      e2e('faults/keepers.test.ts', 'is killed under changes of every kind'),
      e2e('etcd/failover.test.ts', 'killed again and again'),
    ],
  },
  {
    name: 'keeper-frozen',
    title: 'The leader of three members of the store stops without a word',
    limit: 'a change on every host within 10 s',
    limitsMs: { change: 10_000 },
    proofs: [e2e('store-members.test.ts', 'the leader is frozen'), sim('store-members.test.ts', 'frozen')],
  },
  {
    name: 'keepers-lost',
    title:
      'Two of three members of the store are lost: networks go on, changes are refused with the cause, and it is whole when one returns',
    limit:
      'refused within 1 s, or 2 s where the member that was asked falls silent as well, whole within 10 s; 0 packets',
    limitsMs: { refusal: 1_000, 'refusal after silence': 2_000, whole: 10_000 },
    mayLose: 0,
    proofs: [
      e2e('store-members.test.ts', 'two of three are lost'),
      e2e('store-members.test.ts', 'two of three lose power'),
      e2e('external-etcd-members.test.ts'),
      sim('store-members.test.ts', 'with two of three away'),
    ],
  },
  {
    name: 'keepers-gone',
    title:
      'All hosts that keep the store are lost for good: networks go on, another host begins it anew, the others follow when they are told',
    limit: '0 packets',
    proofs: [e2e('keepers-lost.test.ts'), e2e('store-lost.test.ts'), sim('store-restore.test.ts')],
  },
  {
    name: 'etcd-away',
    title: 'etcd is frozen, or gone, for minutes: traffic and names go on, what is new is refused',
    limit: 'refused within 5 s, back 5 s after etcd; 0 packets',
    limitsMs: { refusal: 5_000, back: 5_000 },
    mayLose: 0,
    proofs: [
      e2e('faults/store.test.ts', 'while etcd'),
      e2e('external-etcd.test.ts', 'can go away'),
      e2e('refusals.test.ts'),
    ],
    why: 'three minutes with real agents; longer in virtual time',
  },
  {
    name: 'etcd-restored',
    title:
      'etcd goes back in time: what lives stays up and is claimed again, what was let go of is let go of again, what has no place is named',
    limit: '0 packets, 0 endpoints',
    proofs: [
      e2e('restore.test.ts'),
      e2e('store-restore.test.ts'),
      sim('restore-chaos.test.ts'),
      sim('restored-store.test.ts'),
      sim('store-epoch.test.ts'),
    ],
  },
  {
    name: 'etcd-full',
    title: 'etcd raises NOSPACE: it is told with what to do, and all goes on when it is mended',
    limit: 'agents stay up',
    proofs: [e2e('etcd/refusal.test.ts', 'an etcd that is out of space')],
  },
  {
    name: 'compacted',
    title:
      'A host is cut off until its place in etcd’s history is compacted away: it reads all anew, and lets go of what is gone',
    limit: 'nothing missed',
    proofs: [e2e('etcd/store.test.ts'), sim('memory-store.test.ts')],
  },
  {
    name: 'etcd-refuses',
    title: 'etcd refuses our user some keys, or all: it is told once with what to do, and nothing is taken away',
    limit: 'told once',
    proofs: [
      e2e('external-etcd-users.test.ts', 'what etcd refuses changes nothing'),
      e2e('etcd/refusal.test.ts', 'an etcd that wants a user'),
      unit('adapters/etcd/refusal.test.ts'),
    ],
  },
];
