/** What docs/incus.md shows is what happens, with Debian's Incus; through restarts of it, of the agent and of instances. */
import { expect, test } from 'vitest';
import { endpointNames, endpointRows } from '../lab/docker-network.ts';
import { examplesOf, runExample } from '../lab/examples.ts';
import { INCUS_FLAGS, Incus } from '../lab/incus.ts';
import { attach } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

let incus: Incus;
const lab = useLab({
  hosts: 2,
  cluster: true,
  prepare: async ({ hosts }) => {
    const [one] = hosts;
    await one!.agent.stop();
    await one!.agent.start(['--log-level', 'debug', ...INCUS_FLAGS]);
    incus = await Incus.open(one!);
  },
});
const [one, two] = [() => lab().host(1), () => lab().host(2)];

const reaches = (name: string) =>
  until(
    `${name} to be reached`,
    async () => (await two().exec('near', ['ping', '-c', '1', '-W', '2', name])).code === 0,
  );
const inside = (name: string, ...argv: readonly string[]) => incus.must('exec', name, '--', ...argv);

test.each(examplesOf('incus'))('%s', async (_, steps) => {
  await runExample(steps, (host, command) => {
    return host === 1 ? incus.shell(command) : two().run(['sh', '-c', command]);
  });
});

test('is on its network through kills of it, of Incus and of the agent, in whatever order', async () => {
  await one().mustOverlayd('network', 'create', '--subnet', '10.72.0.0/24', 'again');
  await attach(two(), 'near', 'again');
  await incus.must('launch', 'busybox', 'sql', '-c', 'user.overlayd.again=ip=10.72.0.9 alias=store');
  await reaches('store');
  await inside('sql', 'ping', '-c', '1', '-W', '5', 'near');
  await incus.must('restart', '-f', 'sql');
  await reaches('store');
  // While no agent runs it starts without the network.
  await one().agent.kill();
  await incus.must('restart', '-f', 'sql');
  await one().agent.start(INCUS_FLAGS);
  await reaches('store');
  // While no Incus runs it stays.
  await incus.kill();
  await two().mustExec('near', ['ping', '-c', '1', '-W', '5', 'store']);
  await incus.start();
  await incus.must('config', 'set', 'sql', 'user.overlayd.again=alias=other');
  await reaches('other');
  const all = (await endpointRows(one())) as readonly { Name: string; Network: string; Tool?: string }[];
  const rows = all.filter(({ Network }) => Network === 'again');
  expect(rows.map(({ Name, Tool }) => `${Name} ${Tool}`).sort()).toEqual(['near netns', 'sql incus']);
  await incus.must('stop', '-f', 'sql');
  await until('its end', async () => !(await endpointNames(one())).includes('sql'));
  expect((await one().json('status')).Problems).toEqual([]);
});

test('says what stands in its way, and joins once it is away', async () => {
  await incus.must('launch', 'busybox', 'early', '-c', 'user.overlayd.later=yes');
  const problems = async () => ((await one().json('status')).Problems as readonly string[]).join('\n');
  await until('a word on it', async () => /incus:early is not on network later: /.test(await problems()));
  await one().mustOverlayd('network', 'create', 'later');
  await until('it to join', async () => (await endpointNames(one())).includes('early'), 60_000);
  expect(await problems()).toBe('');
  await incus.must('delete', '-f', 'early');
  const { code, stderr } = await one().overlayd('network', 'connect', 'later', 'incus:early');
  expect([code, stderr]).toEqual([1, expect.stringMatching(/Incus has no such instance; `incus list --all-projects`/)]);
});

test('joins where its resolver’s file is a pipe, which is left alone', async () => {
  await one().mustOverlayd('network', 'create', 'piped');
  await incus.must('launch', 'busybox', 'pipe');
  await inside('pipe', 'sh', '-c', 'rm -f /etc/resolv.conf && mkfifo /etc/resolv.conf');
  const { code, stderr } = await one().overlayd('network', 'connect', 'piped', 'incus:pipe');
  expect([code, stderr]).toEqual([0, expect.stringMatching(/nameserver .*; what is there was left alone/)]);
  expect(await endpointNames(one())).toContain('pipe');
  await inside('pipe', 'test', '-p', '/etc/resolv.conf');
  await incus.must('delete', '-f', 'pipe');
  await until('its end', async () => !(await endpointNames(one())).includes('pipe'));
});
