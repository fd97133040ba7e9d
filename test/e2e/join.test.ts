import { describe, expect, test } from 'vitest';
import { joinArguments, untilReady } from '../lab/cluster.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const OTHER_CA = 'OVLTKN-1-';

describe('joining', () => {
  const lab = useLab({ hosts: 5 });
  const token = async (...options: readonly string[]) =>
    lab()
      .host(1)
      .mustOverlayd('token', 'create', '-q', ...options);
  const join = (number: number, ...args: readonly string[]) =>
    lab()
      .host(number)
      .overlayd('join', ...args);

  /** Without a complaint; a slow one tells what it waits for. */
  const mustJoin = async (number: number, ...args: readonly string[]) => {
    const { code, stderr } = await join(number, ...args);
    expect([code, stderr.match(/^(overlayd|warning): .*/gm)]).toEqual([0, null]);
  };

  /** Refused with that message, and the host is as it was. */
  const expectRefusal = async (number: number, args: readonly string[], message: RegExp) => {
    const answer = await join(number, ...args);
    expect(answer.stderr).toMatch(/^overlayd: /m);
    expect(answer.stderr).toMatch(message);
    expect(answer.code).toBe(1);
    const status = await lab().host(number).json('status');
    expect([status.State, status.ClusterID]).toEqual(['waiting', '']);
  };

  test('is refused by what is no member yet, in words', async () => {
    const bogus = `${OTHER_CA}${'a'.repeat(64)}`;
    const malformed = await join(2, '--token', bogus, '10.77.0.1:2377');
    expect(malformed.code).not.toBe(0);
    expect(malformed.stderr).toMatch(/token.*copy the whole join line again/);
  });

  test('init answers with the whole result as JSON', async () => {
    const result = await lab()
      .host(1)
      .json('init', '--advertise-addr', '10.77.0.1', '--name', 'alpha', '--store-members', '1');
    expect(result.NodeName).toBe('alpha');
    expect(result.ClusterID).toMatch(/^[0-9a-f]{8,}$/);
    expect(joinArguments(result.JoinCommand)[3]).toBe('10.77.0.1:2377');
  });

  test('init again is refused and changes nothing', async () => {
    const answer = await lab().host(1).overlayd('init', '--advertise-addr', '10.77.0.1');
    expect(answer.code).toBe(1);
    expect(answer.stderr).toMatch(/alpha.*already.*overlayd leave/);
    expect((await lab().host(1).json('status')).Self.Name).toBe('alpha');
  });

  test('nobody listens there: refused', async () => {
    await expectRefusal(2, ['--token', await token(), '10.77.0.3:2377'], /10\.77\.0\.3:2377 refuses connections/);
  });

  test('nobody is there at all: unreachable, within seconds', async () => {
    await expectRefusal(2, ['--token', await token(), '10.77.0.99:2377'], /10\.77\.0\.99:2377/);
  });

  test('the packets are dropped on the way: time-out that names the port', async () => {
    await lab().partition([lab().host(1)], [lab().host(2)]);
    await expectRefusal(2, ['--token', await token(), '10.77.0.1:2377'], /10\.77\.0\.1:2377/);
    await lab().heal();
  });

  test('the member belongs to another cluster: its CA is not the one that the token pins', async () => {
    await lab().host(5).mustOverlayd('init', '--advertise-addr', '10.77.0.5');
    const foreign = await lab().host(5).mustOverlayd('token', 'create', '-q');
    await expectRefusal(2, ['--token', foreign, '10.77.0.1:2377'], /CA|certificate authority/i);
    await lab().host(5).mustOverlayd('leave', '--force');
  });

  test('the token has expired', async () => {
    const short = await token('--ttl', '1s');
    await until('the token to expire', async () => /expired/.test(await lab().host(1).mustOverlayd('token', 'ls')));
    await expectRefusal(2, ['--token', short, '10.77.0.1:2377'], /token.*expired/);
  });

  test('the token was revoked', async () => {
    const { ID, Token } = await lab().host(1).json('token', 'create');
    await lab().host(1).mustOverlayd('token', 'revoke', ID);
    await expectRefusal(2, ['--token', Token, '10.77.0.1:2377'], /token/);
    const listed = await lab().host(1).json('token', 'ls');
    expect(listed.map((row: { ID: string }) => row.ID)).not.toContain(ID);
  });

  test('the name is taken', async () => {
    await expectRefusal(2, ['--token', await token(), '--name', 'alpha', '10.77.0.1:2377'], /name alpha is taken/);
  });

  test('a token for one use admits one host, and not a second one', async () => {
    const once = await token('--uses', '1');
    await mustJoin(2, '--token', once, '10.77.0.1:2377');
    await expectRefusal(3, ['--token', once, '10.77.0.1:2377'], /token.*used/);
  });

  test('a member does not join again', async () => {
    const answer = await join(2, '--token', await token(), '10.77.0.1:2377');
    expect(answer.code).toBe(1);
    expect(answer.stderr).toMatch(/h2 .*already.*overlayd leave/);
  });

  test('several hosts at once, through different members', async () => {
    const shared = await token();
    await Promise.all([
      mustJoin(3, '--token', shared, '10.77.0.1:2377'),
      mustJoin(4, '--token', shared, '10.77.0.2:2377'),
      mustJoin(5, '--token', shared, '10.77.0.1'),
    ]);
    await untilReady(lab().hosts);
    for (const host of lab().hosts) {
      await until(`${host.name} to list all as ready`, async () => {
        const nodes: { Name: string; State: string }[] = await host.json('node', 'ls');
        const states = nodes.map(({ Name, State }) => `${Name} ${State}`).sort();
        if (states.join() === 'alpha ready,h2 ready,h3 ready,h4 ready,h5 ready') return true;
        throw new Error(states.join());
      });
    }
  });

  test('a node that left stays listed as down until it is removed, and may come back', async () => {
    const [one, four] = [lab().host(1), lab().host(4)];
    const up = await one.overlayd('node', 'rm', 'h4');
    expect([up.code, up.stderr]).toEqual([1, expect.stringMatching(/h4 is ready, not down/)]);
    await four.mustOverlayd('leave');
    await until('h4 to be down', async () => (await one.json('node', 'inspect', 'h4'))[0].State === 'down');
    expect((await one.json('node', 'inspect', 'h4'))[0].Left).toBe(true);
    await one.mustOverlayd('node', 'rm', 'h4');
    const nodes = await one.json('node', 'ls');
    expect(nodes.map((node: { Name: string }) => node.Name)).not.toContain('h4');
    await mustJoin(4, '--token', await token(), '10.77.0.1:2377');
    await untilReady(lab().hosts);
  });

  test('a node that is removed by force is a member no more', async () => {
    const [one, five] = [lab().host(1), lab().host(5)];
    await one.mustOverlayd('node', 'rm', '--force', 'h5');
    await until('h5 to know why', async () => {
      const { Problems } = await five.json('status');
      if (Problems.some((text: string) => text.includes('removed from the cluster'))) return true;
      throw new Error(Problems.join('; '));
    });
    for (const args of [
      ['network', 'create', 'intruder'],
      ['token', 'create'],
    ]) {
      const answer = await five.overlayd(...args);
      expect([answer.code, answer.stderr]).toEqual([
        1,
        expect.stringMatching(/removed from the cluster.*leave --force/),
      ]);
    }
    await five.mustOverlayd('leave', '--force');
    await mustJoin(5, '--token', await token(), '10.77.0.1:2377');
    await untilReady(lab().hosts);
    expect(await one.json('network', 'ls')).toEqual([]);
  });

  test('the node that runs etcd is not removed while others need it, by force neither', async () => {
    const two = lab().host(2);
    expect(
      (await two.json('node', 'inspect', 'alpha', 'h2')).map((node: { HoldsStore: boolean }) => node.HoldsStore),
    ).toEqual([true, false]);
    for (const [host, ...args] of [
      [two, 'node', 'rm', 'alpha'],
      [two, 'node', 'rm', '--force', 'alpha'],
    ] as const) {
      const answer = await host.overlayd(...args);
      expect([answer.code, answer.stderr]).toEqual([1, expect.stringMatching(/runs the cluster's only etcd/)]);
    }
    await untilReady(lab().hosts);
  });

  test('the cluster is deleted by whoever says so in these words', async () => {
    const one = lab().host(1);
    await one.mustOverlayd('leave', '--yes-delete-cluster');
    expect((await one.json('status')).State).toBe('waiting');
    expect((await one.json('init', '--advertise-addr', '10.77.0.1')).NodeName).toBe('h1');
  });
});
