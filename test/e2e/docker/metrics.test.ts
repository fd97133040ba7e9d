/** What a host with a Docker engine tells besides: the engine's calls, and names that others answer. */
import { expect, test } from 'vitest';
import { lookUp, OUTSIDE, runContainer, startEngines, untilOffered } from '../../lab/docker-network.ts';
import { readMetrics, seriesValue } from '../../lab/metrics.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const lab = useLab({
  hosts: 1,
  cluster: true,
  prepare: async (made) => {
    await startEngines(made.hosts);
    await made.host(1).mustOverlayd('network', 'create', 'web');
    await untilOffered(made.host(1), ['web']);
  },
});

const CALLS = ['NetworkDriver.CreateEndpoint', 'NetworkDriver.Join', 'IpamDriver.RequestAddress'];

test('calls of the engine, whether it answers, and names that are not ours', async () => {
  const host = lab().host(1);
  await runContainer(host, 'api-4d2e', '--network', 'web');
  expect(await lookUp(host, 'api-4d2e', OUTSIDE)).not.toEqual([]);
  const metrics = await readMetrics(host);
  for (const call of CALLS) {
    const series = `overlayd_tool_call_duration_seconds_count{tool="docker",call="${call}",result="ok"}`;
    expect(seriesValue(metrics, series), call).toBeGreaterThan(0);
  }
  expect(seriesValue(metrics, 'overlayd_docker_connected')).toBe(1);
  expect(seriesValue(metrics, 'overlayd_local_endpoints')).toBe(1);
  expect(seriesValue(metrics, 'overlayd_dns_answers_total{source="upstream",rcode="NOERROR"}')).toBeGreaterThan(0);
  expect(seriesValue(metrics, 'overlayd_dns_answer_duration_seconds_count{source="upstream"}')).toBeGreaterThan(0);
  expect(metrics).not.toContain('api-4d2e');
  await host.engine.kill();
  await until('it to be told that the engine is away', async () => {
    return seriesValue(await readMetrics(host), 'overlayd_docker_connected') === 0;
  });
});
