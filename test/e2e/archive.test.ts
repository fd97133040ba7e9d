/** The archive of `npm run package` on a host that has nothing of overlayd, from `install` to `uninstall`. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { joinArguments } from '../lab/cluster.ts';
import { type Host, type HostProcess, ROOT } from '../lab/host.ts';
import { untilReaches } from '../lab/network.ts';
import { observeKernel, overlayNamespaces } from '../lab/observation.ts';
import { expectSuccess, run } from '../lab/process.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const PROGRAM = '/usr/local/bin/overlayd';
const DATA = '/var/lib/overlayd';

describe('the archive', () => {
  const lab = useLab({ hosts: 2, agents: false });
  const made = mkdtempSync(join(tmpdir(), 'overlayd-archive-'));
  const bare = new Map<string, string>();
  const agents = new Map<number, HostProcess>();
  afterAll(() => rmSync(made, { recursive: true, force: true }));

  beforeAll(async () => {
    expectSuccess(
      await run([process.execPath, join(ROOT, 'deploy/package.ts'), '--fast', '--out', made], { timeoutMs: 500_000 }),
    );
    const archive = readdirSync(made).find((name) => name.endsWith('.tar.gz'))!;
    for (const host of lab().hosts) {
      // What is the machine's own stays as it is.
      for (const directory of ['/opt', '/usr/local', '/var/lib'])
        await host.must(['mount', '-t', 'tmpfs', 'x', directory]);
      bare.set(host.name, await observeKernel(host));
      await host.must(['tar', '-xzf', join(made, archive), '-C', '/opt']);
    }
  });

  const overlayd = (number: number, ...args: readonly string[]) =>
    lab()
      .host(number)
      .must([PROGRAM, ...args]);
  const startAgent = async (number: number) => {
    const agent = lab().host(number).spawn([PROGRAM, 'agent'], { log: 'agent.log' });
    agents.set(number, agent);
    await until('the agent to answer', async () => (await lab().host(number).run([PROGRAM, 'status'])).code === 0);
  };
  const stop = async (agent: HostProcess) => {
    await agent.kill();
    await agent.exited;
  };
  /** Of the host's own processes, those that are of overlayd or its etcd. */
  const processes = async (number: number) => {
    const all = await lab().host(number).must(['ps', '-eo', 'args']);
    return all.split('\n').filter((line) => /overlayd-|\/var\/lib\/overlayd/.test(line) && !line.startsWith('ps'));
  };

  /** What there is where it may be, directories as well. */
  const found = (host: Host) =>
    host.must(['sh', '-c', `find /opt /usr/local ${DATA} /run/overlayd /etc/overlayd 2>/dev/null || true`]);

  test('is installed by its own script and runs with the Node.js that it brings', async () => {
    for (const host of lab().hosts) {
      const text = await host.must(['sh', '-c', '/opt/overlayd-*/install']);
      expect(text).toMatch(/no systemd here/);
      const found = await host.must([PROGRAM, 'version', '--format', 'json']);
      expect(JSON.parse(found).Node).toBe(process.version);
      await host.must(['test', '-s', '/usr/local/share/man/man1/overlayd-network.1']);
      // Again, it changes nothing that matters.
      await host.must(['sh', '-c', '/opt/overlayd-*/install']);
    }
  });

  test('init, join and attach work, by a group’s socket', async () => {
    const [one, two] = [lab().host(1), lab().host(2)];
    await Promise.all([startAgent(1), startAgent(2)]);
    const pid = await agents.get(1)!.pid();
    expect(await one.must(['stat', '-c', '%G %a', '/run/overlayd/overlayd.sock'])).toBe('overlayd 660\n');
    const program = (await run(['readlink', `/proc/${pid}/exe`])).stdout;
    expect(program).toMatch(/^\/opt\/overlayd-[^/]+\/node_modules\/node\/bin\/node$/m);
    const joining = joinArguments(await overlayd(1, 'init', '--advertise-addr', one.address, '--store-members', '1'));
    await overlayd(2, ...joining);
    await overlayd(1, 'network', 'create', 'web');
    for (const [number, name] of [
      [1, 'api'],
      [2, 'shop'],
    ] as const) {
      await lab().host(number).container(name);
      await overlayd(number, 'network', 'connect', '--name', name, 'web', `netns:${name}`);
    }
    await untilReaches(two, 'shop', 'api');
    await stop(agents.get(1)!);
    await startAgent(1);
    await untilReaches(two, 'shop', 'api');
  });

  test('uninstall --keep-data takes it out of kernel and processes; a later start goes on as the member', async () => {
    const two = lab().host(2);
    await stop(agents.get(2)!);
    expect(await overlayNamespaces(two)).toHaveLength(1);
    // As of one that was connected right before a power loss, of which the agent knows nothing.
    await two.must(['sh', '-c', 'mkdir /etc/netns/lost && cp /etc/netns/shop/resolv.conf /etc/netns/lost/']);
    const out = await overlayd(2, 'uninstall', '--yes', '--keep-data');
    expect(out).toMatch(/Nothing of overlayd is in the kernel/);
    expect(await overlayNamespaces(two)).toEqual([]);
    expect((await two.run(['ls', '/etc/netns'])).stdout).toBe('');
    expect(await processes(2)).toEqual([]);
    await startAgent(2);
    await until(
      'the host to be ready',
      async () => JSON.parse(await overlayd(2, 'status', '--format', 'json')).State === 'ready',
    );
    await two.container('later');
    await overlayd(2, 'network', 'connect', '--name', 'later', 'web', 'netns:later');
    await untilReaches(two, 'later', 'api');
  });

  test('uninstall leaves the cluster by an agent that it starts, and nothing of overlayd on the host', async () => {
    const two = lab().host(2);
    await stop(agents.get(2)!);
    const out = await overlayd(2, 'uninstall', '--yes');
    expect(out).toMatch(/left cluster/);
    expect(await processes(2)).toEqual([]);
    for (const name of ['api', 'shop', 'later']) await two.run(['ip', 'netns', 'del', name]);
    expect(await observeKernel(two)).toBe(bare.get(two.name));
    expect(await found(two)).toBe('/opt\n/usr/local\n');
    expect((await two.run(['getent', 'group', 'overlayd'])).code).toBe(2);
    const nodes = JSON.parse(await overlayd(1, 'node', 'ls', '--format', 'json')) as { Name: string; State: string }[];
    expect(nodes.find(({ Name }) => Name === two.name)).toMatchObject({ Left: true });
  });

  test('the host of the only etcd is refused while there is something to lose, unless that is said', async () => {
    const one = lab().host(1);
    const refused = await one.run([PROGRAM, 'uninstall', '--yes']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/--yes-delete-cluster/);
    await one.must(['test', '-e', PROGRAM]);
    await overlayd(1, 'network', 'inspect', 'web');
    await stop(agents.get(1)!);
    // Whoever gives the command may be in a directory that is not there any more.
    const away = 'mkdir /opt/away; cd /opt/away; rmdir /opt/away';
    await one.must(['sh', '-c', `${away}; exec ${PROGRAM} uninstall --yes --yes-delete-cluster`]);
    expect(await processes(1)).toEqual([]);
    expect(await found(one)).toBe('/opt\n/usr/local\n');
    await one.run(['ip', 'netns', 'del', 'api']);
    expect(await observeKernel(one)).toBe(bare.get(one.name));
  });
});
