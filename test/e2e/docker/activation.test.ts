import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { untilReady } from '../../lab/cluster.ts';
import { addressOf, endpointNames, runContainer, startEngines, untilOffered } from '../../lab/docker-network.ts';
import type { Host } from '../../lab/host.ts';
import { IMAGE } from '../../lab/image.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const MANAGER = fileURLToPath(new URL('../../lab/service-manager.ts', import.meta.url));
const STARTS = '/run/starts';
const LISTEN = `
mkdir -p /run/docker/plugins
mkfifo ${STARTS}
exec node "$0" /run/docker/plugins/overlayd.sock "$@" <> ${STARTS}
`;

/** Holds the plugin's socket from now on; the agent is started by `startAgent`. */
function holdSocket(host: Host): void {
  const agent = ['overlayd', 'agent', '--data-dir', host.dataDirectory, '--run-dir', '/run/overlayd'];
  host.spawn(['sh', '-c', LISTEN, MANAGER, ...agent], { log: 'manager.log' });
}

async function startAgent(host: Host): Promise<void> {
  await until('the manager', async () => (await host.run(['test', '-p', STARTS])).code === 0);
  await host.must(['sh', '-c', `echo start > ${STARTS}`]);
}

async function endAgent(host: Host, signal: 'TERM' | 'KILL'): Promise<void> {
  const pid = (await host.must(['pgrep', '-f', 'lib/agent.cjs'])).trim();
  await host.must(['kill', `-${signal}`, pid]);
  await until('the agent to end', async () => (await host.run(['test', '-d', `/proc/${pid}`])).code !== 0);
}

describe('with a plugin socket that the service manager holds', () => {
  const lab = useLab({
    hosts: 1,
    cluster: true,
    prepare: async ({ hosts }) => {
      const [host] = hosts;
      await host!.agent.stop();
      holdSocket(host!);
      await startAgent(host!);
      await untilReady(hosts);
      await startEngines(hosts);
      await host!.mustOverlayd('network', 'create', 'web');
      await untilOffered(host!, ['web']);
    },
  });
  const host = () => lab().host(1);

  test('what Docker asks while no agent runs is answered by the next one, and not refused', async () => {
    await runContainer(host(), 'first', '--network', 'web');
    await addressOf(host(), 'first');
    await endAgent(host(), 'KILL');
    const waiting = host().engine.docker('run', '-d', '--name', 'second', '--network', 'web', IMAGE);
    const removed = host().engine.docker('rm', '-f', 'first');
    await startAgent(host());
    for (const outcome of [await waiting, await removed]) expect([outcome.stderr, outcome.code]).toEqual(['', 0]);
    await until('second alone', async () => (await endpointNames(host())).join() === 'second');
  });

  test('an engine that starts before the agent waits for it, and then has its containers', async () => {
    await host().engine.mustDocker('update', '--restart', 'always', 'second');
    await host().engine.stop();
    await endAgent(host(), 'TERM');
    const engine = host().engine.start();
    await startAgent(host());
    await engine;
    await until('second to run', async () => {
      const { stdout } = await host().engine.docker('inspect', '-f', '{{.State.Running}}', 'second');
      return stdout.trim() === 'true';
    });
    await until('second alone', async () => (await endpointNames(host())).join() === 'second');
  });
});
