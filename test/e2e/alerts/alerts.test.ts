/**
 * Each shipped alert is fired by a fault, made on real hosts and told by a real Prometheus. Its rules are the shipped file, where each
 * `for:` is a second (`test/lab/prometheus.ts`); expressions are as they are. What was broken is mended, and what the alert tells of now, not of the last
 * minutes, ends. The dashboard's queries are asked of the same Prometheus, which has seen all of it.
 */
import { afterAll, expect, test } from 'vitest';
import { EXPRESSIONS, VARIABLES } from '../../../deploy/grafana-dashboard.ts';
import { shippedAlerts } from '../../lab/prometheus.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';
import { type AlertsLab, prepareAlertsLab } from './alerts-lab.ts';
import { type Fault, type Round, roundsOf } from './faults.ts';

/** Of the lab as it is made: two of three hosts lack etcd. */
const FROM_THE_BEGINNING = { OverlaydStoreFewKeepers: { instance: 'h1' } };
/** Which no lab can make, and why. */
const NOT_MADE: Readonly<Record<string, string>> = {};
/** They compare durations, which on a busy machine are what they are. */
const BY_THE_CLOCK = /Slow$/;

let prepared: AlertsLab;
let rounds: Readonly<Record<string, Round>>;
const lab = useLab({
  hosts: 3,
  agents: false,
  prepare: async (made) => {
    prepared = await prepareAlertsLab(made);
    rounds = roundsOf(made, prepared);
  },
});
afterAll(async () => {
  await prepared?.prometheus.stop();
});

test('there is a fault for each alert, or it is said why there is none', () => {
  const faults = Object.values(rounds).flatMap((round) => Object.values(round));
  const made = [FROM_THE_BEGINNING, NOT_MADE, ...faults.map(({ fires }) => fires)].flatMap((each) => Object.keys(each));
  expect(made.toSorted()).toEqual(shippedAlerts().toSorted());
});

test('where nothing is wrong nothing fires, but that two hosts lack etcd', async () => {
  const { prometheus } = prepared;
  await prometheus.untilFires(FROM_THE_BEGINNING);
  const names = new Set((await prometheus.firing()).map(({ alertname }) => alertname!));
  expect([...names].filter((name) => !BY_THE_CLOCK.test(name))).toEqual(Object.keys(FROM_THE_BEGINNING));
});

/** All of them at once: each is seen to fire, and to end where it does. */
async function go(round: Round): Promise<void> {
  const { prometheus } = prepared;
  const all: readonly Fault[] = Object.values(round);
  const mends = await Promise.all(
    all.map(async (fault) => {
      const mend = await fault.make();
      await prometheus.untilFires(fault.fires, fault.use);
      return mend;
    }),
  );
  await Promise.all(mends.map((mend) => mend()));
  await Promise.all(
    all.map(({ fires, use, ends }) => (ends === false ? undefined : prometheus.untilQuiet(fires, use))),
  );
}

test('faults between hosts, on a disk, in a network', () => go(rounds.ways!));
test('faults of what the agent works with on a host', () => go(rounds.hosts!));
test('faults of the cluster', () => go(rounds.cluster!));

test('each query of the dashboard has an answer, and so has each of its choices', async () => {
  const { prometheus, useTool } = prepared;
  const hosts = lab().hosts.map(({ name }) => name);
  const chosen = (text: string) => text.replaceAll('$job', 'overlayd').replaceAll('$instance', '.*');
  const choices = async (of: string) => {
    const [, selector = '', label = ''] = /^label_values\((.*), (\w+)\)$/.exec(chosen(of))!;
    return await prometheus.labelValues(label, selector);
  };
  expect(await choices(VARIABLES.job)).toEqual(['overlayd']);
  expect(await choices(VARIABLES.instance)).toEqual(hosts);
  // Of the time of all faults; what is no number is not equal to itself.
  const asked = EXPRESSIONS.map((expression) => {
    const filled = chosen(expression).replaceAll('$__rate_interval', '1m');
    return `count_over_time(((${filled}) == (${filled}))[15m:2s])`;
  });
  await until('all to be answered', async () => {
    // What faults do not do.
    await useTool();
    const answers = await prometheus.queryAll(asked);
    const empty = EXPRESSIONS.filter((_, at) => answers[at]!.length === 0);
    if (empty.length > 0) throw new Error(empty.join('\n'));
    return true;
  });
});

test('faults of agents', () => go(rounds.agents!));
