import { endpointPieces } from '../endpoint-floor.ts';
import { formWithOneKeeper } from '../one-keeper.ts';
import { type Experiment, floor, lower, type Prepared, type Sample } from '../row.ts';

const MOST_PORTS = 1_022;
const MOST_REMOTES = 10_000;
const ROUNDS = 10;
const few = (ports: number, remotes: number, quick: boolean) => ({ ports, remotes, rounds: quick ? 2 : ROUNDS });

const pieces: Experiment = {
  name: 'floor',
  title: 'What an attach is made of',
  method: `No agent takes part but those that keep etcd's cluster: what an attach and a detach have the kernel do, made into messages \
before and then carried out by the calls that the agent makes, in a namespace that nobody looks after; a namespace that is made and \
left (\`CLONE_NEWNET\`), a state file written, and a transaction of etcd's of the size of a claim, asked from its own host. \
Their sums are the floors of attach, detach and first attach.`,
  sides: [floor('the pieces alone')],
  rows: [
    lower('floor-attach', 'attach, the kernel alone', 'ms'),
    lower('floor-detach', 'detach, the kernel alone', 'ms'),
    lower(
      'floor-full-detach',
      `detach with ${MOST_PORTS.toLocaleString('en-US')} endpoints on the host, the kernel alone`,
      'ms',
    ),
    lower('floor-first', 'first attach, the kernel alone', 'ms'),
    lower(
      'floor-first-rows',
      `first attach with ${MOST_REMOTES.toLocaleString('en-US')} endpoints, the kernel alone`,
      'ms',
    ),
    lower('floor-namespace', 'a namespace made and left', 'ms'),
    lower('floor-state', 'a state file written', 'ms'),
    lower('floor-transaction', "a transaction of etcd's", 'ms'),
  ],
  lab: 'own',
  rounds: 5,
  quickRounds: 1,
  limitMs: 180_000,
  async prepare(context): Promise<Prepared> {
    const lab = await context.openLab({ hosts: 2 });
    const [one, two] = [lab.host(1), lab.host(2)];
    await Promise.all(lab.hosts.map((host) => host.agent.start(['--log-level', 'info'])));
    await formWithOneKeeper(lab);
    const { quick } = context;
    return {
      async measure(): Promise<Sample> {
        const any = await endpointPieces(two, one, few(2, 0, quick));
        const first = await endpointPieces(two, one, few(1, 0, quick));
        const rows = await endpointPieces(two, one, few(1, MOST_REMOTES, true));
        const full = await endpointPieces(two, one, few(MOST_PORTS, 0, true));
        return {
          'floor-attach': any.attachMs,
          'floor-detach': any.detachMs,
          'floor-full-detach': full.detachMs,
          'floor-first': first.attachMs,
          'floor-first-rows': rows.attachMs,
          'floor-namespace': any.namespaceMs,
          'floor-state': any.stateMs,
          'floor-transaction': any.transactionMs,
        };
      },
    };
  },
};

export const floors: readonly Experiment[] = [pieces];
