/** Metrics of real agents, read by people and by a real Prometheus. Its alerts: `alerts/alerts.test.ts`. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { METRICS } from '../../src/core/metrics/catalog.ts';
import { untilReady } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { OPENMETRICS, readMetrics, seriesValue } from '../lab/metrics.ts';
import { attach, resolve, untilReaches } from '../lab/network.ts';
import { expectSuccess, run } from '../lab/process.ts';
import { Prometheus } from '../lab/prometheus.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const PORT = '127.0.0.1:7947';

const lab = useLab({ hosts: 2, cluster: true });
const [one, two] = [1, 2].map((number) => () => lab().host(number)) as [() => Host, () => Host];
let prometheus: Prometheus;

beforeAll(async () => {
  await one().mustOverlayd('network', 'create', 'web');
  await attach(one(), 'c1', 'web', '--name', 'api');
  await attach(two(), 'c2', 'web');
  await untilReaches(two(), 'c2', 'api');
  await one().agent.stop();
  await one().agent.start(['--log-level', 'debug', '--metrics-listen', PORT]);
  await untilReady(lab().hosts);
  await until('all paths to be known', async () => {
    const { Peers, State } = await one().json('status');
    return State === 'ready' && Peers.every(({ Path }: { Path: { State: string } }) => Path?.State === 'passes');
  });
  prometheus = new Prometheus(one());
  await prometheus.start({ h1: PORT });
});
afterAll(async () => {
  await prometheus?.stop();
});

test('are all that the documentation lists, in both formats, and nothing that promtool complains about', async () => {
  const [open, old] = [await readMetrics(two(), OPENMETRICS), await readMetrics(two())];
  const names = Object.values(METRICS).map(({ name }) => name);
  expect([...old.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name)).toEqual(names);
  const families = names.map((name) => name.replace(/_(total|info)$/, ''));
  expect([...open.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name)).toEqual(families);
  expect(open.endsWith('# EOF\n')).toBe(true);
  expect(expectSuccess(await run(['promtool', 'check', 'metrics'], { input: old }))).toBe('');
});

test('tell what happened on the host, and name no container', async () => {
  const before = await readMetrics(two());
  await attach(two(), 'shop-7f3a', 'web', '--name', 'shop-7f3a');
  expect(await resolve(two(), 'c2', 'api')).toMatchObject({ status: 'NOERROR' });
  expect(await resolve(two(), 'c2', 'nobody.web')).toMatchObject({ status: 'NXDOMAIN' });
  await two().mustOverlayd('network', 'disconnect', 'web', 'netns:shop-7f3a');
  const after = await readMetrics(two());
  const gained = (series: string) => (seriesValue(after, series) ?? 0) - (seriesValue(before, series) ?? 0);
  expect(gained('overlayd_attach_duration_seconds_count{result="ok"}')).toBe(1);
  expect(gained('overlayd_detach_duration_seconds_count{result="ok"}')).toBe(1);
  expect(gained('overlayd_control_request_duration_seconds_count{method="connect",result="ok"}')).toBe(1);
  expect(gained('overlayd_events_total{type="endpoint-attached"}')).toBe(1);
  expect(gained('overlayd_dns_answers_total{source="own",rcode="NOERROR"}')).toBeGreaterThan(0);
  expect(gained('overlayd_dns_answers_total{source="own",rcode="NXDOMAIN"}')).toBeGreaterThan(0);
  expect(gained('overlayd_dns_answer_duration_seconds_count{source="own"}')).toBeGreaterThan(1);
  expect(gained('overlayd_store_call_duration_seconds_count{call="Txn",result="ok"}')).toBeGreaterThan(0);
  expect(gained('overlayd_kernel_call_duration_seconds_count{call="carryOut",result="ok"}')).toBeGreaterThan(0);
  expect(gained('overlayd_reconcile_duration_seconds_count{result="ok"}')).toBeGreaterThan(0);
  expect(seriesValue(after, 'overlayd_network_local_endpoints{network="web"}')).toBe(1);
  expect(seriesValue(after, 'overlayd_members{state="ready"}')).toBe(2);
  expect(seriesValue(after, 'overlayd_names_up')).toBe(1);
  expect(after).not.toContain('shop-7f3a');
});

test('a Prometheus reads them from the loopback', async () => {
  expect(await prometheus.query('overlayd_build_info{version!=""}')).toHaveLength(1);
  expect(await prometheus.query('overlayd_store_call_duration_seconds_bucket{le="+Inf",call="Range"}')).not.toEqual([]);
});

test('a mistake of who asks is counted as that', async () => {
  expect((await one().overlayd('network', 'connect', 'web', 'netns:nowhere')).code).not.toBe(0);
  const told = await one().must(['curl', '-sf', `http://${PORT}/metrics`]);
  expect(seriesValue(told, 'overlayd_attach_duration_seconds_count{result="refused"}')).toBe(1);
});

test('another program has the port: the agent does its part, says so, and takes the port when it is free', async () => {
  const other = two().spawn(['node', '-e', "require('node:net').createServer().listen(7947, '127.0.0.1')"]);
  await until('the port to be taken', async () => (await two().run(['ss', '-Hltn', 'sport = :7947'])).stdout !== '');
  await two().agent.stop();
  await two().agent.start(['--log-level', 'debug', '--metrics-listen', PORT]);
  const findings = async () => (await two().json('status')).Findings as { Code: string; Message: string }[];
  const told = await until('it to be told', async () =>
    (await findings()).find(({ Code }) => Code === 'metrics-unserved'),
  );
  expect(told.Message).toMatch(/cannot listen on 127\.0\.0\.1:7947: .*EADDRINUSE/);
  await attach(two(), 'c3', 'web');
  await other.kill('SIGKILL');
  await until('it to be served', async () => (await two().run(['curl', '-sf', `http://${PORT}/metrics`])).code === 0);
  await until('nothing to be told', async () => (await findings()).every(({ Code }) => Code !== 'metrics-unserved'));
});
