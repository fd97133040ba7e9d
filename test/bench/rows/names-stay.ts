import { nextVersionOf } from '../../lab/checkouts.ts';
import { untilReady } from '../../lab/cluster.ts';
import { attach } from '../../lab/network.ts';
import { settle } from '../clock.ts';
import { gatewayOf } from '../control.ts';
import { formWithOneKeeper } from '../one-keeper.ts';
import { openQuestionStream } from '../question-stream.ts';
import { type Experiment, goal, lower, OVERLAYD, type Prepared, type Sample } from '../row.ts';

const NETWORK = 'asked';
const QUESTIONS = 3_000;
const RATE = 500;
/** From the first question to the end of the agent. */
const LEAD_MS = 1_000;

const HOW = ['killed', 'restarted', 'upgraded'] as const;

const namesStay: Experiment = {
  name: 'names-stay',
  title: 'Names while the agent dies, is restarted, is upgraded',
  method: `A process in a container asks ${QUESTIONS.toLocaleString('en-US')} questions, ${RATE} a second, for its own name \
and that of a container on another host in turn. After a second the agent of its host is killed (SIGKILL) and started; or \
ended by SIGTERM and started; or ended and started from a build of another version, whose files are all other ones. A \
question that has no answer with an address within a second is lost.`,
  sides: [OVERLAYD],
  rows: [
    ...HOW.map((how) => lower(`names-lost-${how}`, `answers lost, agent ${how}`, `of ${QUESTIONS}`, goal(0))),
    ...HOW.map((how) => lower(`names-slowest-${how}`, `slowest answer, agent ${how}`, 'ms')),
  ],
  lab: 'own',
  rounds: 3,
  quickRounds: 1,
  comparedRounds: 2,
  warmUp: false,
  async prepare(context): Promise<Prepared> {
    const next = await nextVersionOf(context.checkout);
    const lab = await context.openLab({ hosts: 2 });
    const [one, two] = [lab.host(1), lab.host(2)];
    await Promise.all(lab.hosts.map((host) => host.agent.start(['--log-level', 'info'])));
    await formWithOneKeeper(lab);
    await one.mustOverlayd('network', 'create', NETWORK);
    await attach(one, 'there', NETWORK, '--name', 'there');
    await attach(two, 'here', NETWORK, '--name', 'here');
    const server = await gatewayOf(two, NETWORK);
    const targets = ['here', 'there'].map((name) => ({ container: 'here', server, name, kind: 'any' }));
    const asking = await openQuestionStream(two, targets, RATE);
    const endOf = {
      killed: () => two.agent.kill(),
      restarted: () => two.agent.stop(),
      async upgraded() {
        await two.agent.stop();
        two.checkout = next.directory;
      },
    };
    return {
      async measure(): Promise<Sample> {
        const sample: Record<string, number> = {};
        for (const how of HOW) {
          const answers = asking.count(QUESTIONS);
          await settle(LEAD_MS);
          await endOf[how]();
          await two.agent.start();
          const { lost, slowestMs } = await answers;
          await untilReady([two]);
          sample[`names-lost-${how}`] = lost.any!;
          sample[`names-slowest-${how}`] = slowestMs;
        }
        await two.agent.stop();
        two.checkout = context.checkout;
        await two.agent.start();
        await untilReady([two]);
        return sample;
      },
      async close() {
        asking.close();
        next.remove();
      },
    };
  },
};

export const namesStaying: readonly Experiment[] = [namesStay];
