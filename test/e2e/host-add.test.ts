/** `host add` over a real sshd, onto hosts that have the command and an agent; installing is tried on booted hosts (`test/hosts`). */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { clientKey, startSshServer } from '../lab/ssh-server.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const USER = 'alice';

describe('host add', () => {
  const lab = useLab({ hosts: 5 });
  let key = '';
  let knownHosts = '';

  beforeAll(async () => {
    const one = lab().host(1);
    key = await clientKey(join(one.directory, 'client'));
    knownHosts = join(one.directory, 'client', 'known_hosts');
    for (const number of [2, 3, 4]) await startSshServer(lab().host(number), key, USER);
    await one.mustOverlayd('init', '--advertise-addr', one.address, '--store-members', '1');
  });

  const optionsOf = (...more: readonly string[]) =>
    ['BatchMode=yes', `UserKnownHostsFile=${knownHosts}`, 'StrictHostKeyChecking=accept-new', ...more].flatMap(
      (each) => ['--ssh-option', each],
    );
  const add = (place: string, ...args: readonly string[]) =>
    lab()
      .host(1)
      .overlayd('host', 'add', '--identity', key, ...args, ...optionsOf(), place);
  const stateOf = async (host: Host) => (await host.json('status')).State as string;
  const nodes = async () => (await lab().host(1).json('node', 'ls')) as { Name: string; State: string }[];

  test('--print looks, and changes nothing', async () => {
    const two = lab().host(2);
    const { code, stdout } = await add(`root@${two.address}`, '--print');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^root@10\.77\.0\.2 is h2 \(.*, overlayd \d/);
    expect(stdout).toMatch(/overlayd join --token-file - --advertise-addr 10\.77\.0\.2 10\.77\.0\.1:2377/);
    expect(await stateOf(two)).toBe('waiting');
    expect(await lab().host(1).json('token', 'ls')).toHaveLength(1);
  });

  test('makes a host a member, whose containers are reached when it ends', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    const { code, stdout, stderr } = await add(`root@${two.address}`);
    expect([code, stderr.match(/^(overlayd|warning): .*/gm)]).toEqual([0, null]);
    expect(stdout).toMatch(/overlayd is installed\n {2}joined as h2, at 10\.77\.0\.2\n/);
    expect(stdout).toMatch(/a packet has gone to h2 and come back by the data path \(.* ms there and back/);
    expect(stdout).toMatch(/Node h2 is a member now\.\n$/);
    await one.mustOverlayd('network', 'create', 'web');
    await attach(one, 'c1', 'web', '--name', 'api');
    await attach(two, 'c2', 'web', '--name', 'shop');
    await untilReaches(two, 'c2', 'api');
  });

  test('by a token that let that host in alone, and once', async () => {
    const [token] = (await lab().host(1).json('token', 'ls')).filter(({ Node }: { Node: string }) => Node === 'h2');
    expect(token).toMatchObject({ UsesLeft: 0 });
  });

  test('again, leaves all as it is', async () => {
    const { code, stdout } = await add(`root@${lab().host(2).address}`);
    expect(code).toBe(0);
    expect(stdout).toMatch(/overlayd is installed\n {2}it is a member already, as h2\n/);
    expect(await nodes()).toHaveLength(2);
  });

  test('names the cause when ssh does not let it in', async () => {
    const place = `root@${lab().host(3).address}`;
    const other = await clientKey(join(lab().host(1).directory, 'client'), 'other');
    const refused = await lab()
      .host(1)
      .overlayd('host', 'add', '--identity', other, ...optionsOf('IdentitiesOnly=yes', 'IdentityAgent=none'), place);
    expect(refused.stderr).toMatch(
      /^overlayd: root@10\.77\.0\.3 refuses this user's keys .*ssh-copy-id root@10\.77\.0\.3/m,
    );
    const unknown = await lab()
      .host(1)
      .overlayd('host', 'add', '--identity', key, '--ssh-option', 'UserKnownHostsFile=/dev/null', place);
    expect(unknown.stderr).toMatch(/does not know the host key of root@10\.77\.0\.3: .*`ssh root@10\.77\.0\.3`/);
    const closed = await add(`root@${lab().host(5).address}`);
    expect(closed.stderr).toMatch(/nothing listens on the ssh port of root@10\.77\.0\.5/);
    const user = await add(`${USER}@${lab().host(3).address}`);
    expect(user.stderr).toMatch(/alice@10\.77\.0\.3 is not root there, and sudo asks for a password/);
    expect([refused.code, unknown.code, closed.code, user.code]).toEqual([1, 1, 1, 1]);
    expect(await stateOf(lab().host(3))).toBe('waiting');
  });

  test('refuses a member of another cluster', async () => {
    const three = lab().host(3);
    await three.mustOverlayd('init', '--advertise-addr', three.address, '--store-members', '1');
    const { code, stderr } = await add(`root@${three.address}`);
    expect(code).toBe(1);
    expect(stderr).toMatch(/it is node h3 of another cluster \([0-9a-f]+\): `overlayd leave` there first/);
    await three.mustOverlayd('leave', '--force');
  });

  test('names the port that is closed for the host that joins, and takes its token back', async () => {
    const [one, three] = [lab().host(1), lab().host(3)];
    await one.must([
      'nft',
      'add table inet closed; add chain inet closed in { type filter hook input priority -200; }; add rule inet closed in ip saddr 10.77.0.3 tcp dport 2377 drop',
    ]);
    const { code, stderr } = await add(`root@${three.address}`);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^overlayd: it could not join: .*10\.77\.0\.1:2377/m);
    await one.must(['nft', 'delete table inet closed']);
    const tokens: { Node: string }[] = await one.json('token', 'ls');
    expect(tokens.filter(({ Node }) => Node === 'h3')).toEqual([]);
    const again = await add(`root@${three.address}`, '--name', 'third');
    expect(again.code).toBe(0);
    expect((await nodes()).map(({ Name }) => Name)).toContain('third');
  });

  test('is not done while the data path lets nothing through, and goes on when it does', async () => {
    const four = lab().host(4);
    await four.must([
      'nft',
      'add table inet closed; add chain inet closed in { type filter hook input priority -200; }; add rule inet closed in udp dport 4789 drop',
    ]);
    const { code, stderr, stdout } = await add(`root@${four.address}`);
    expect(code).toBe(1);
    expect(stdout).toMatch(/joined as h4/);
    expect(stderr).toMatch(/it is a member, but no packet .* 4789\/udp/);
    await four.must(['nft', 'delete table inet closed']);
    const again = await add(`root@${four.address}`);
    expect([again.code, again.stderr.match(/^overlayd: .*/gm)]).toEqual([0, null]);
    await until('all to be ready', async () => (await nodes()).every(({ State }) => State === 'ready'));
  });
});
