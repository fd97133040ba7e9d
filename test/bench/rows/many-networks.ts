import type { ControlClient } from '../../../src/adapters/grpc/control.ts';
import type { Host } from '../../lab/host.ts';
import { nowMs, settle } from '../clock.ts';
import { connect, openControl } from '../control.ts';
import { formWithOneKeeper } from '../one-keeper.ts';
import type { StreamTarget } from '../programs/question-stream.ts';
import { openQuestionStream } from '../question-stream.ts';
import { type Context, type Experiment, goal, lower, OVERLAYD, type Prepared, type Sample, stretch } from '../row.ts';
import { eachOf } from '../workers.ts';

const MOST = 200;
/** So that what a container has lost is known within half a second. */
const RATE = 1_000;
/** Of the other host's containers: each network's once a second. */
const ELSEWHERE_RATE = MOST;
/** Of a peer whose names others answer. */
const SHOWN: readonly string[] = ['alive', 'restarting'];
const POLL_MS = 50;
/** Calls that make networks; more would only meet each other's claims. */
const CREATED_AT_ONCE = 4;
const ATTACHED_AT_ONCE = 20;
const DOMAIN = '10.200.0.0/14';

const networkOf = (number: number) => `net${number}`;

/** Networks of one container each on the third host, and one on the second. */
async function openNetworks(context: Context, count: number) {
  const lab = await context.openLab({ hosts: 3 });
  const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
  await Promise.all(lab.hosts.map((host) => host.agent.start(['--log-level', 'info'])));
  await formWithOneKeeper(lab, ['--default-addr-pool', DOMAIN]);
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const control = openControl(one);
  const gateways = new Map<number, string>();
  await eachOf(numbers, CREATED_AT_ONCE, async (number) => {
    const lists = { subnets: [], gateways: [], ipRanges: [], auxAddresses: {}, labels: {}, options: {} };
    const { subnets } = await control.createNetwork({
      name: networkOf(number),
      internal: false,
      ipv6: false,
      ...lists,
    });
    gateways.set(number, subnets[0]!.gateway);
  });
  control.close();
  for (const host of [two, three]) {
    await host.must(['ip', '-batch', '-'], { input: numbers.map((number) => `netns add c${number}`).join('\n') });
    const own = openControl(host);
    await eachOf(numbers, ATTACHED_AT_ONCE, (number) => attachOne(own, host, number));
    own.close();
  }
  const targetsOf = (kinds: readonly { readonly kind: string; readonly of: Host }[]) =>
    numbers.flatMap((number): readonly StreamTarget[] =>
      kinds.map(({ kind, of }) => ({
        container: `c${number}`,
        server: gateways.get(number)!,
        name: nameOf(of, number),
        kind,
      })),
    );
  return {
    hosts: [one, two, three] as const,
    targets: targetsOf([
      { kind: 'own', of: three },
      { kind: 'others', of: two },
    ]),
    elsewhere: targetsOf([{ kind: 'elsewhere', of: three }]),
  };
}

function attachOne(control: ControlClient, host: Host, number: number): Promise<unknown> {
  return connect(control, networkOf(number), `c${number}`, { name: nameOf(host, number) });
}

const nameOf = (host: Host, number: number) => `${host.name}-${number}`;

/** Looks until `isOver` whether this one hides the host's names. Returns for how long it did, in milliseconds. */
async function hiddenMs(observer: Host, host: Host, isOver: () => boolean): Promise<number> {
  const control = openControl(observer);
  let hidden = 0;
  try {
    for (let at = nowMs(); !isOver(); ) {
      const { peers } = await control.getStatus({});
      const now = nowMs();
      if (!SHOWN.includes(peers.find(({ name }) => name === host.name)?.state ?? '')) hidden += now - at;
      at = now;
      await settle(POLL_MS);
    }
  } finally {
    control.close();
  }
  return hidden;
}

/** When the agent says that all is well; throws while nobody answers. */
async function readyAt(host: Host): Promise<number> {
  for (;;) {
    const control = openControl(host);
    try {
      if ((await control.getStatus({})).state === 'ready') return nowMs();
    } catch {
      // It does not answer yet.
    } finally {
      control.close();
    }
    await settle(POLL_MS);
  }
}

const restart: Experiment = {
  name: 'many-networks',
  title: `The agent of a host with ${MOST} networks is restarted`,
  method: `A host has a container on each of ${MOST} networks, and so has another one. A process on the first asks from each \
container for its own name and for the other host's, ${RATE} questions a second in all, while the agent there is ended by \
SIGTERM and started again; one on the other host asks there for the first one's names, ${ELSEWHERE_RATE} a second. "Own names", "names of others": from the end of the old agent until the last network that had a \
question unanswered for a second answered again; 0 when there was none. "Ready": until the agent says that all is well. \
"Answers lost": of both processes. "Hidden": how long other members called the host suspect or down, as which it has no names \
there, the longest of them.`,
  sides: [OVERLAYD],
  rows: [
    lower('many-networks-own', `${MOST} networks, agent restarted → own names`, 's', goal(2), stretch(0.5)),
    lower('many-networks-others', `${MOST} networks, agent restarted → names of others`, 's', goal(2), stretch(0.5)),
    lower('many-networks-ready', `${MOST} networks, agent restarted → ready`, 's', goal(2), stretch(0.5)),
    lower('many-networks-lost', `${MOST} networks, agent restarted, answers lost`, '1', goal(0)),
    lower('many-networks-hidden', `${MOST} networks, agent restarted, host hidden by others`, 's', goal(0)),
  ],
  lab: 'own',
  rounds: 3,
  quickRounds: 1,
  comparedRounds: 1,
  warmUp: false,
  prepareLimitMs: 900_000,
  limitMs: 400_000,
  async prepare(context): Promise<Prepared> {
    const { hosts, targets, elsewhere } = await openNetworks(context, MOST);
    const [one, two, three] = hosts;
    return {
      async measure(): Promise<Sample> {
        const asking = await openQuestionStream(three, targets, RATE);
        const askingElsewhere = await openQuestionStream(two, elsewhere, ELSEWHERE_RATE);
        asking.begin();
        askingElsewhere.begin();
        await settle(1_000);
        let isOver = false;
        const hidden = Promise.all([one, two].map((observer) => hiddenMs(observer, three, () => isOver)));
        // Where the time is up before that, the labs go and nobody waits for it.
        hidden.catch(() => undefined);
        await three.agent.stop();
        const stoppedAt = nowMs();
        three.agent.launch();
        const ready = await readyAt(three);
        await settle(2_000);
        while ((await asking.missing()) > 0) await settle(POLL_MS);
        const { lost, backAt } = await asking.end();
        asking.close();
        const { lost: lostElsewhere } = await askingElsewhere.end();
        askingElsewhere.close();
        isOver = true;
        const since = (at: number) => Math.max(0, at - stoppedAt) / 1_000;
        return {
          'many-networks-own': since(backAt.own!),
          'many-networks-others': since(backAt.others!),
          'many-networks-ready': since(ready),
          'many-networks-lost': lost.own! + lost.others! + lostElsewhere.elsewhere!,
          'many-networks-hidden': Math.max(...(await hidden)) / 1_000,
        };
      },
    };
  },
};

export const manyNetworks: readonly Experiment[] = [restart];
