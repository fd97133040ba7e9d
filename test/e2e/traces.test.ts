/** One `network connect` as a trace: the command, the agent, etcd and the kernel. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import type { CollectedSpan } from '../lab/collector.ts';
import { type Host, type HostProcess, ROOT } from '../lab/host.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 1, cluster: true });
const host = (): Host => lab().host(1);
let collector: HostProcess;
let url: string;

const linesOf = () => collector.output.split('\n').slice(0, -1);
const spans = (): readonly CollectedSpan[] =>
  linesOf()
    .slice(1)
    .map((line) => JSON.parse(line));

beforeAll(async () => {
  collector = host().spawn(['node', `${ROOT}/test/lab/collector-program.ts`]);
  url = await until('the collector', () => linesOf()[0]);
  await host().mustOverlayd('network', 'create', 'web');
});

test('off, which is the default, nobody is told anything', async () => {
  const container = await host().container('c0');
  await host().mustOverlayd('network', 'connect', 'web', container);
  expect(spans()).toEqual([]);
});

test('a connect is one trace, from the command to etcd and the kernel', async () => {
  await host().agent.stop();
  await host().agent.start(['--log-level', 'debug', '--traces', url]);
  const container = await host().container('c1');
  const env = { OVERLAYD_TRACES: url };
  await host().must(['overlayd', 'network', 'connect', '--name', 'api', 'web', container], { env });
  const [command] = await until('the span of the command', () => {
    const found = spans().filter(({ part }) => part === 'command');
    return found.length > 0 && found;
  });
  expect(command).toMatchObject({ name: 'overlayd.v1.Control/Connect', kind: 3, status: { code: 0 } });
  const whole = await until('the spans of the agent', () => {
    const own = spans().filter(({ traceId }) => traceId === command?.traceId);
    return own.some(({ name }) => name === 'Control/connect') && own;
  });
  const named = (name: string) => whole.filter((span) => span.name === name);
  const parentsOf = (name: string) =>
    named(name).map(({ parentSpanId }) => whole.find(({ spanId }) => spanId === parentSpanId)?.name);
  expect(parentsOf('Control/connect')).toEqual(['overlayd.v1.Control/Connect']);
  expect(parentsOf('attach')).toEqual(['Control/connect']);
  expect(new Set(parentsOf('etcd Txn'))).toEqual(new Set(['attach']));
  expect(parentsOf('reconcile')).toContain('attach');
  expect(parentsOf('kernel carryOut')).toContain('reconcile');
  // It says how long each took, within what it is a part of.
  const [attach] = named('attach');
  for (const each of named('etcd Txn')) {
    expect(BigInt(each.startTimeUnixNano)).toBeGreaterThanOrEqual(BigInt(attach!.startTimeUnixNano));
    expect(BigInt(each.endTimeUnixNano)).toBeLessThanOrEqual(BigInt(attach!.endTimeUnixNano));
  }
});

test('one that is refused says why, and the command ends as ever', async () => {
  const env = { OVERLAYD_TRACES: url };
  const { code } = await host().run(['overlayd', 'network', 'connect', 'nowhere', 'netns:c1'], { env });
  expect(code).toBe(1);
  const failed = await until('the spans', () => {
    const found = spans().filter(({ name, status }) => name === 'attach' && status.code === 2);
    return found.length > 0 && found;
  });
  expect(failed[0]?.attributes).toContainEqual({ key: 'error.type', value: { stringValue: 'network-not-found' } });
});

test('a collector that is away costs nothing but the spans: the agent names it once, a command not at all', async () => {
  const told = () =>
    readFileSync(join(host().directory, 'agent.log'), 'utf8').split('the collector does not take traces');
  const env = { OVERLAYD_TRACES: url };
  const connect = async (name: string) => {
    const container = await host().container(name);
    const { code, stderr } = await host().run(['overlayd', 'network', 'connect', 'web', container], { env });
    expect([code, stderr]).toEqual([0, expect.not.stringMatching(/trace|collector/)]);
  };
  await collector.kill('SIGKILL');
  await connect('c2');
  await until('the agent to say so', () => told().length > 1);
  await connect('c3');
  // What it still has it hands over then.
  await host().agent.stop();
  expect(told()).toHaveLength(2);
  expect(told()[1]).toContain(url);
});
