/** The rules for Docker's firewall, with the real iptables of both kinds, each in a host of the lab that forwards packets. */
import { describe, expect, it } from 'vitest';
import { ensureForwarding, type RunProgram, removeForwarding } from '../../../src/adapters/docker/forwarding.ts';
import { createKernel } from '../../../src/adapters/kernel/kernel.ts';
import { hasLegacyTables } from '../../../src/adapters/legacy-tables.ts';
import type { Host } from '../../lab/host.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';
import { openKernel } from '../kernel/kernel-host.ts';

const lab = useLab({ hosts: 2, agents: false });

/** What Docker 20.10 makes of the filter table, as much as matters. */
const DOCKER_FIREWALL = `*filter
:FORWARD DROP [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -o br-web -j DOCKER
-A FORWARD -i br-web ! -o br-web -j ACCEPT
-A DOCKER-USER -j RETURN
COMMIT
`;

/** The host's ends of an uplink, of one of Docker's bridges and of the outside, each with a neighbour behind it. */
const NEIGHBOURS = [
  { link: 'ovl4096', name: 'inside', host: '10.1.0.1', address: '10.1.0.2' },
  { link: 'br-web', name: 'bridged', host: '10.2.0.1', address: '10.2.0.2' },
  { link: 'out0', name: 'outside', host: '10.3.0.1', address: '10.3.0.2' },
];

async function makeNeighbours(host: Host): Promise<void> {
  for (const { link, name, host: gateway, address } of NEIGHBOURS) {
    await host.container(name);
    const lines = [
      `link add ${link} type veth peer name eth0 netns ${name}`,
      `addr add ${gateway}/24 dev ${link}`,
      `link set ${link} up`,
    ];
    await host.must(['ip', '-batch', '-'], { input: lines.join('\n') });
    const inside = [`addr add ${address}/24 dev eth0`, 'link set eth0 up', `route add default via ${gateway}`];
    await host.must(['ip', '-netns', name, '-batch', '-'], { input: inside.join('\n') });
  }
  await host.must(['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
}

/** Whether a packet and its answer pass. */
async function reaches(host: Host, from: string, to: string): Promise<boolean> {
  const address = NEIGHBOURS.find(({ name }) => name === to)?.address ?? '';
  return (await host.exec(from, ['ping', '-c1', '-W1', address])).code === 0;
}

it('changes of others are heard', async () => {
  const host = lab().host(1);
  let heard = 0;
  const { thread } = openKernel(host);
  const onFirewallChange = () => {
    heard += 1;
  };
  const kernel = createKernel({ thread, isAlive: async () => true, onFirewallChange, hostPid: host.pid });
  const quit = new AbortController();
  const listening = (async () => {
    for await (const _ of kernel.changes(quit.signal));
  })();
  await host.must(['iptables-nft', '-N', 'SOMEBODY']);
  await until('a change to be heard', async () => {
    await host.must(['iptables-nft', '-A', 'SOMEBODY', '-j', 'RETURN']);
    return heard > 0;
  });
  heard = 0;
  await host.must(['iptables-nft', '-F', 'SOMEBODY']);
  await until('the flush to be heard', () => heard > 0);
  quit.abort();
  await listening;
});

describe.each([
  ['nft', 1],
  ['legacy', 2],
] as const)('the firewall of Docker, by iptables-%s', (kind, number) => {
  /** The program of that kind, whichever is the host's own. */
  const runOf =
    (host: Host): RunProgram =>
    ([program = '', ...args], { input = '' } = {}) =>
      host.run([program.replace('iptables', `iptables-${kind}`), ...args], { input });

  it('lets our containers out, and into none of its own networks', async () => {
    const host = lab().host(number);
    const run = runOf(host);
    const programs: string[] = [];
    const counted: RunProgram = (argv, options) => {
      programs.push(argv[0] ?? '');
      return run(argv, options);
    };
    await makeNeighbours(host);
    expect(await ensureForwarding(run)).toMatchObject({ kind: 'not-needed' });
    await host.must([`iptables-${kind}-restore`], { input: DOCKER_FIREWALL });
    expect(await reaches(host, 'inside', 'outside')).toBe(false);
    // Nobody tells of changes of theirs.
    expect(hasLegacyTables(4, `/proc/${host.pid}/net`)).toBe(kind === 'legacy');

    expect(await ensureForwarding(run)).toEqual({ kind: 'changed' });
    expect(await reaches(host, 'inside', 'outside')).toBe(true);
    expect(await reaches(host, 'inside', 'bridged')).toBe(false);
    expect(await reaches(host, 'outside', 'bridged')).toBe(false);

    expect(await ensureForwarding(counted)).toEqual({ kind: 'unchanged' });
    expect(programs).toEqual(['iptables']);

    // Somebody takes a rule out, and puts one of the user's behind it.
    await host.must([`iptables-${kind}`, '-D', 'OVERLAYD-FORWARD', '-i', 'ovl+', '-j', 'ACCEPT']);
    expect(await reaches(host, 'inside', 'outside')).toBe(false);
    expect(await ensureForwarding(run)).toEqual({ kind: 'changed' });
    expect(await reaches(host, 'inside', 'outside')).toBe(true);

    // The user's own rule counts before ours.
    await host.must([`iptables-${kind}`, '-I', 'DOCKER-USER', '-o', 'out0', '-j', 'DROP']);
    expect(await ensureForwarding(run)).toEqual({ kind: 'unchanged' });
    expect(await reaches(host, 'inside', 'outside')).toBe(false);
    await host.must([`iptables-${kind}`, '-D', 'DOCKER-USER', '-o', 'out0', '-j', 'DROP']);

    expect(await removeForwarding(run)).toEqual({ kind: 'changed' });
    expect(await removeForwarding(run)).toEqual({ kind: 'unchanged' });
    expect(await host.must([`iptables-${kind}`, '-S'])).not.toContain('OVERLAYD');
  });

  it('lets them out by IPv6, which has a firewall of its own', async () => {
    const host = lab().host(number);
    const of = (program: string) => program.replace('ip6tables', `ip6tables-${kind}`);
    const run: RunProgram = ([program = '', ...args], { input = '' } = {}) =>
      host.run([of(program), ...args], { input });
    for (const { link, name, host: gateway, address } of NEIGHBOURS) {
      const six = (text: string) => `fd00:${text.split('.')[1]}::${text.split('.')[3]}`;
      await host.must(['ip', 'address', 'add', `${six(gateway)}/64`, 'dev', link, 'nodad']);
      await host.mustExec(name, ['ip', 'address', 'add', `${six(address)}/64`, 'dev', 'eth0', 'nodad']);
      await host.mustExec(name, ['ip', '-6', 'route', 'add', 'default', 'via', six(gateway)]);
    }
    await host.must(['sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1']);
    const reaches6 = async (from: string, to: string) =>
      (await host.exec(from, ['ping', '-6', '-c1', '-W1', to])).code === 0;
    const [bridged, outside] = ['fd00:2::2', 'fd00:3::2'];
    expect(await ensureForwarding(run, 6)).toMatchObject({ kind: 'not-needed' });
    await host.must([of('ip6tables-restore')], { input: DOCKER_FIREWALL });
    expect(hasLegacyTables(6, `/proc/${host.pid}/net`)).toBe(kind === 'legacy');
    expect(await reaches6('inside', outside!)).toBe(false);
    expect(await ensureForwarding(run, 6)).toEqual({ kind: 'changed' });
    expect(await ensureForwarding(run, 6)).toEqual({ kind: 'unchanged' });
    expect(await reaches6('inside', outside!)).toBe(true);
    expect(await reaches6('inside', bridged!)).toBe(false);
    expect(await removeForwarding(run, 6)).toEqual({ kind: 'changed' });
    expect(await host.must([of('ip6tables'), '-S'])).not.toContain('OVERLAYD');
  });
});
