import { settle, timed } from '../clock.ts';
import { connect, disconnect, openControl } from '../control.ts';
import { ENDPOINT_FLOOR, endpointFloor } from '../endpoint-floor.ts';
import { formWithOneKeeper } from '../one-keeper.ts';
import { type Experiment, floor, goal, lower, OVERLAYD, type Prepared, type Sample, stretch } from '../row.ts';
import { median } from '../statistics.ts';
import { eachOf } from '../workers.ts';

/** A bridge has 1,023 ports, one of which leads to the other hosts. */
const MOST = 1_022;
const QUICK_MOST = 200;
const NETWORK = 'full';
const AT_ONCE = 2;
const DETACHES = 7;
/** What the attach before set off is over. */
const IDLE_MS = 1_000;

const text = MOST.toLocaleString('en-US');

const fullHost: Experiment = {
  name: 'full-host',
  title: 'A host with as many endpoints as a bridge has ports',
  method: `On a host without endpoints ${text} namespaces are attached to one network by calls of the agent's control \
service, ${AT_ONCE} at a time (\`--quick\`: ${QUICK_MOST} of them). When that is done ${DETACHES} of them are detached, one \
after the other, with a second in between; the median of them counts. Then all the others, ${AT_ONCE} at a time. Floor of the detach: ${ENDPOINT_FLOOR}.`,
  sides: [OVERLAYD, floor('the messages alone')],
  rows: [
    lower('full-host-attach', `${text} attaches, two at a time`, 's', goal(0.2, 'before'), stretch(0.1, 'before')),
    lower(
      'full-host-detach',
      `one detach, ${text} endpoints on the host`,
      'ms',
      goal(30),
      stretch(10),
      stretch(1, 'floor'),
    ),
    lower('full-host-detach-all', `${text} detaches, two at a time`, 's'),
  ],
  lab: 'own',
  rounds: 1,
  quickRounds: 1,
  warmUp: false,
  limitMs: 1_200_000,
  async prepare(context): Promise<Prepared> {
    const lab = await context.openLab({ hosts: 2 });
    const [one, two] = [lab.host(1), lab.host(2)];
    await Promise.all(lab.hosts.map((host) => host.agent.start(['--log-level', 'info'])));
    await formWithOneKeeper(lab);
    await one.mustOverlayd('network', 'create', '--subnet', '10.200.0.0/16', NETWORK);
    const count = context.quick ? QUICK_MOST : MOST;
    const names = Array.from({ length: count }, (_, index) => `c${index + 1}`);
    await two.must(['ip', '-batch', '-'], { input: names.map((name) => `netns add ${name}`).join('\n') });
    const control = openControl(two);
    const attach = (name: string) => connect(control, NETWORK, name);
    const detach = (name: string) => disconnect(control, NETWORK, name);
    return {
      async measure(side): Promise<Sample> {
        if (side === 'floor') {
          const { detach: alone } = await endpointFloor(two, one, { ports: count, rounds: DETACHES });
          return { 'full-host-detach': alone };
        }
        const attached = await timed(() => eachOf(names, AT_ONCE, attach));
        const detached: number[] = [];
        for (const name of names.slice(0, DETACHES)) {
          await settle(IDLE_MS);
          detached.push(await timed(() => detach(name)));
        }
        const sample = { 'full-host-attach': attached / 1_000, 'full-host-detach': median(detached) };
        if (context.isComparison) return sample;
        const detachedAll = await timed(() => eachOf(names.slice(DETACHES), AT_ONCE, detach));
        return { ...sample, 'full-host-detach-all': detachedAll / 1_000 };
      },
      async close() {
        control.close();
      },
    };
  },
};

export const fullHosts: readonly Experiment[] = [fullHost];
