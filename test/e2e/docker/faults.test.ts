import { describe, expect, test } from 'vitest';
import { untilReady } from '../../lab/cluster.ts';
import {
  addressOf,
  endpointNames,
  endpointRows,
  expectNothingLeft,
  runContainer,
  SERVICE_ADDRESS,
  startEngines,
  untilLooksUp,
  untilOffered,
  untilPings,
} from '../../lab/docker-network.ts';
import { etcdPid } from '../../lab/etcd.ts';
import { untilFound, untilTold, untilWell } from '../../lab/finding.ts';
import { IMAGE } from '../../lab/image.ts';
import { squatOn } from '../../lab/squatter.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

describe('engines, agents and hosts that end and come back', () => {
  const lab = useLab({
    hosts: 2,
    cluster: true,
    prepare: async (made) => {
      await startEngines(made.hosts);
      await made.host(1).mustOverlayd('network', 'create', 'web');
      await untilOffered(made.host(2), ['web']);
      await runContainer(made.host(1), 'api', '--network', 'web', '--network-alias', 'backend', '--restart', 'always');
      await runContainer(made.host(2), 'client', '--network', 'web');
      await untilPings(made.host(2), 'client', 'api');
    },
  });
  const one = () => lab().host(1);
  const two = () => lab().host(2);

  /** Both containers have one endpoint each, are found by name from the other host, and reach each other. */
  async function expectWell(): Promise<void> {
    await until('one endpoint each', async () => (await endpointNames(two())).join() === 'api,client');
    for (const name of ['api', 'backend', 'api.web.overlayd.internal']) {
      await untilLooksUp(two(), 'client', name, [await addressOf(two(), 'api')]);
    }
    await untilPings(two(), 'client', 'api');
    await untilPings(one(), 'api', 'client');
  }

  const process1 = (host: 'h1' | 'h2', name: string) =>
    (host === 'h1' ? one() : two()).engine.mustDocker('inspect', '-f', '{{.State.Pid}}', name);

  test('an agent that is killed takes nothing along; the next one goes on with what there is', async () => {
    const rows = await endpointRows(two());
    await one().agent.kill();
    await untilPings(two(), 'client', 'api');
    expect(await (async () => one().engine.mustDocker('exec', 'api', 'true'))()).toBe('');
    await one().agent.start();
    await untilReady(lab().hosts);
    expect(await endpointRows(two())).toEqual(rows);
    await expectWell();
    expect((await one().json('status')).Reconcile.Repairs).toBe(0);
  });

  test('what ends while no agent is there is released when one is', async () => {
    await runContainer(one(), 'short', '--network', 'web');
    await addressOf(two(), 'short');
    const pid = await process1('h1', 'short');
    await one().agent.kill();
    const removed = one().engine.docker('rm', '-f', 'short');
    // Docker waits for its driver, holding the container; then it lets go without it.
    await until('the process to end', async () => (await one().run(['test', '-d', `/proc/${pid}`])).code !== 0);
    await one().agent.start();
    await removed;
    await until('its endpoint to be gone', async () => !(await endpointNames(two())).includes('short'));
    await expectWell();
  });

  test('an engine that is killed ends no traffic; its containers are right when it is back', async () => {
    const before = await process1('h1', 'api');
    await one().engine.kill();
    await untilPings(two(), 'client', 'api');
    expect((await one().json('status')).Docker.State).toBe('unreachable');
    await one().engine.start();
    // Docker ends what it finds running and starts what its policy says.
    await until('the container to run anew', async () => {
      const pid = await process1('h1', 'api');
      return pid !== '0' && pid !== before;
    });
    await expectWell();
    await until('the agent to see the engine', async () => (await one().json('status')).Docker.State === 'connected');
  });

  test('an engine that is stopped and started has its containers back, with their names', async () => {
    await one().engine.restart();
    await until('the container to run', async () => (await process1('h1', 'api')) !== '0');
    await expectWell();
  });

  test('with live-restore, containers keep everything over a new engine', async () => {
    await two().engine.stop();
    await two().engine.start(['--dns', SERVICE_ADDRESS, '--live-restore']);
    await two().engine.mustDocker('start', 'client');
    await expectWell();
    const rows = await endpointRows(one());
    await two().engine.stop();
    await untilPings(one(), 'api', 'client');
    await two().engine.start();
    expect(await endpointRows(one())).toEqual(rows);
    await two().engine.mustDocker('rename', 'client', 'visitor');
    await until('the new name', async () => (await endpointNames(one())).includes('visitor'));
    await two().engine.mustDocker('rename', 'visitor', 'client');
    await expectWell();
  });

  test('a container’s link that somebody deletes comes back', async () => {
    await two().must(['sh', '-c', `nsenter -t ${await innerProcess()} -n ip link del eth0`]);
    await untilPings(two(), 'client', 'api');
    async function innerProcess(): Promise<string> {
      return two().engine.mustDocker('inspect', '-f', '{{.State.Pid}}', 'client');
    }
  });

  test('a host that is reset has its containers back on the network, at the first start of its engine', async () => {
    await one().powerOff();
    await one().powerOn();
    // Both at once, as at boot; etcd comes with the agent of this very host.
    const engine = one().engine.start();
    await one().agent.start();
    await engine;
    await until('the container to run', async () => (await process1('h1', 'api')) !== '0');
    await expectWell();
  });

  test('a host that is reset while etcd is away has its containers back with the addresses that they had', async () => {
    for (const name of ['first', 'second']) await runContainer(two(), name, '--network', 'web', '--restart', 'always');
    await runContainer(two(), 'fixed', '--network', 'web', '--restart', 'always', '--ip', '10.0.0.77');
    const all = ['first', 'second', 'fixed'];
    const addresses = () => Promise.all(all.map((name) => addressOf(two(), name)));
    const before = await addresses();
    const etcd = await etcdPid(one());
    await one().must(['kill', '-STOP', etcd]);
    try {
      await two().powerOff();
      await two().powerOn();
      const engine = two().engine.start();
      await two().agent.start();
      await engine;
      await until('the containers to run', async () => {
        const pids = await Promise.all(all.map((name) => process1('h2', name)));
        return !pids.includes('0');
      });
      const inside = await Promise.all(
        all.map((name) => two().engine.mustDocker('exec', name, 'ip', '-4', '-o', 'addr', 'show', 'eth0')),
      );
      expect(inside).toEqual(before.map((address) => expect.stringContaining(` ${address}/`)));
      await untilPings(one(), 'api', 'second');
    } finally {
      await one().must(['kill', '-CONT', etcd]);
    }
    await untilReady(lab().hosts);
    expect(await addresses()).toEqual(before);
    for (const name of all) await two().engine.mustDocker('rm', '-f', name);
    await two().engine.mustDocker('start', 'client');
    await expectWell();
  });

  test('while etcd is away, running containers go on, and a new one is refused with the cause', async () => {
    const etcd = await etcdPid(one());
    await one().must(['kill', '-STOP', etcd]);
    try {
      await untilPings(two(), 'client', 'api');
      const { code, stderr } = await two().engine.docker('run', '--rm', '--network', 'web', IMAGE, 'true');
      expect([code, stderr]).toEqual([125, expect.stringContaining('etcd')]);
    } finally {
      await one().must(['kill', '-CONT', etcd]);
    }
    await untilReady(lab().hosts);
    await expectWell();
  });

  test('status says when containers do not ask overlayd for names', async () => {
    await two().agent.stop();
    await two().agent.start(['--docker-names', 'forward']);
    await two().engine.stop();
    await two().engine.start([]);
    await two().engine.mustDocker('start', 'client');
    const problems = async () => (await two().json('status')).Problems.join();
    await untilFound(two(), 'docker-side', /do not ask overlayd for names: run `overlayd-docker-setup`/);
    await untilTold(two(), ['docker-side']);
    expect(await two().mustOverlayd('status')).toContain('names are not set up');
    await two().engine.mustDocker('rm', '-f', 'client');
    await runContainer(two(), 'client', '--network', 'web', '--dns', SERVICE_ADDRESS);
    await until('the status to be good again', async () => (await problems()) === '');
    await expectWell();
    const squatter = await squatOn(two(), SERVICE_ADDRESS);
    await untilFound(
      two(),
      'names-unanswered',
      /169\.254\.53\.53.*port 53 is held there by perl \(pid \d+\), which has to end/,
    );
    await squatter.kill('SIGKILL');
    await untilWell(two());
    await two().agent.stop();
    await two().agent.start([]);
    await expectWell();
  });

  test('nothing is left when all containers are gone', async () => {
    await one().engine.mustDocker('rm', '-f', 'api');
    await two().engine.mustDocker('rm', '-f', 'client');
    await expectNothingLeft(lab().hosts);
  });
});
