/** Members behind NAT: what they reach, by what way, and what becomes of it when their routers change. */
import { describe, expect, test } from 'vitest';
import { joinArguments, untilEncryptable, untilReady } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches, untilResolves } from '../lab/network.ts';
import { Router } from '../lab/router.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const hidden: Host[] = [];
const routers: Router[] = [];

const lab = useLab({
  hosts: 2,
  agents: true,
  prepare: async (lab) => {
    for (const number of [1, 2]) {
      const router = await Router.open(lab, { name: `r${number}`, number: 100 + number, mapping: 'preserving' });
      routers.push(router);
      // Both segments have the same addresses.
      hidden.push(await router.addHost(`n${number}`, 2));
      await hidden.at(-1)!.agent.start();
    }
  },
});

/** Where this host's WireGuard sends to. */
async function endpointsOf(host: Host): Promise<readonly string[]> {
  const program =
    "const s=require('net').connect('/run/wireguard/ovlwg0.sock',()=>s.write('get=1\\n\\n'));s.on('data',(d)=>{process.stdout.write(d);s.end()})";
  const listing = await host.must(['node', '-e', program]);
  return [...listing.matchAll(/^endpoint=(.*)$/gm)].map(([, endpoint]) => endpoint!);
}

/** Whether any host passes packets on between two others, or would. */
async function relaying(): Promise<boolean> {
  const ports = await Promise.all(
    lab().hosts.map(async (host) => {
      const { stdout } = await host.run(['ss', '-Hlun', `sport >= :51842`, 'and', 'sport < :52354']);
      return stdout.trim();
    }),
  );
  return ports.some((listing) => listing !== '');
}

/** Name of the host that does, as the first behind NAT says. */
async function relay(): Promise<string | undefined> {
  return /relayed by (\S+)/.exec(await hidden[0]!.mustOverlayd('status'))?.[1];
}

/** By the wall clock, when the first answer came after a moment (`ping -D`). */
function firstAnswerAfter(output: string, moment: number): number {
  const times = [...output.matchAll(/\[(\d+\.\d+)\] \d+ bytes from/g)].map(([, seconds]) => Number(seconds) * 1_000);
  return times.find((time) => time > moment) ?? Number.POSITIVE_INFINITY;
}

const answeredAfter = (output: string, moment: number) => Number.isFinite(firstAnswerAfter(output, moment));

describe('members behind NAT', () => {
  test('join with outgoing connections alone, and are found out', async () => {
    const [one, two] = lab().hosts as readonly [Host, Host];
    const join = joinArguments(await one.mustOverlayd('init', '--advertise-addr', one.address));
    await two.mustOverlayd(...join, '--advertise-addr', two.address);
    const { stdout, stderr } = await hidden[0]!.run(['overlayd', ...join, '--advertise-addr', hidden[0]!.address]);
    expect(`${stdout}${stderr}`).toContain('sees it come from 10.77.0.101');
    await untilReady([one, two, hidden[0]!]);
  });

  test('reach containers of others, and are reached, by name', async () => {
    const [one] = lab().hosts as readonly [Host, Host];
    await untilEncryptable(one);
    await one.mustOverlayd('network', 'create', '-o', 'encrypted', 'safe');
    const at = await attach(one, 'c1', 'safe', '--name', 'web');
    const behind = await attach(hidden[0]!, 'c3', 'safe', '--name', 'hut');
    await untilReaches(hidden[0]!, 'c3', 'web');
    await untilReaches(one, 'c1', 'hut');
    await untilResolves(one, 'c1', 'hut.safe', [behind]);
    await untilResolves(hidden[0]!, 'c3', 'web.safe', [at]);
  });

  test('that are behind different NATs, which keep ports, reach each other directly', async () => {
    const [one] = lab().hosts as readonly [Host, Host];
    const join = joinArguments(await one.mustOverlayd('token', 'create'));
    await hidden[1]!.mustOverlayd(...join, '--nat', '--advertise-addr', hidden[1]!.address);
    await untilReady([...lab().hosts, ...hidden]);
    await attach(hidden[1]!, 'c4', 'safe', '--name', 'den');
    await untilReaches(hidden[1]!, 'c4', 'hut');
    await untilReaches(hidden[0]!, 'c3', 'den');
    await until('the other router to be where packets go', async () =>
      (await endpointsOf(hidden[0]!)).some((endpoint) => endpoint.startsWith('10.77.0.102:')),
    );
    expect(await relaying()).toBe(false);
  });

  test('are followed within 10 s when the router forgets them, and when its address changes', async () => {
    const [one] = lab().hosts as readonly [Host, Host];
    const changes = [() => routers[0]!.forget(), () => routers[0]!.changeAddress(101, 111)];
    for (const change of changes) {
      const pings = one.spawn(['ip', 'netns', 'exec', 'c1', 'ping', '-D', '-n', '-i', '0.1', 'hut']);
      await until('a first answer', () => pings.output.includes('bytes from'));
      await change();
      const from = Date.now();
      await until('answers after the change', () => answeredAfter(pings.output, from));
      await pings.kill();
      expect(firstAnswerAfter(pings.output, from) - from).toBeLessThan(10_000);
    }
  });

  test('ask etcd inside of the tunnel, without which they ask it from outside', async () => {
    const [router, host] = [routers[0]!.host, hidden[0]!];
    const inside = async () => {
      const { stdout } = await host.run(['ss', '-Htn', 'state', 'established', 'dport', '=', ':2379']);
      return stdout.includes('198.19.');
    };
    await until('a connection inside', inside);
    const rule = ['add', 'rule', 'ip', 'router', 'forward', 'tcp', 'dport', '2379', 'drop'];
    await router.must(['nft', ...rule]);
    await host.mustOverlayd('network', 'create', '-o', 'encrypted', 'inner');
    await routers[0]!.setMapping('preserving');
  });

  test('take part in encrypted networks only', async () => {
    await lab().host(1).mustOverlayd('network', 'create', 'plain');
    const refused = await hidden[0]!.run(['overlayd', 'network', 'connect', 'plain', await hidden[0]!.container('c9')]);
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('behind NAT');
  });
});

describe('behind NATs that map at random', () => {
  test('two reach each other by a relay, which is one of the members outside', async () => {
    for (const router of routers) {
      await router.setMapping('random');
      await router.forget();
    }
    await until('somebody to relay', relaying);
    await untilReaches(hidden[0]!, 'c3', 'den');
    await until('the status to name the relay', async () => (await relay()) !== undefined);
  });

  test('another one relays when the one that does ends', async () => {
    const name = await relay();
    const ending = lab().hosts.find((host) => host.name === name)!;
    const pings = hidden[0]!.spawn(['ip', 'netns', 'exec', 'c3', 'ping', '-D', '-n', '-i', '0.2', 'den']);
    await until('a first answer', () => pings.output.includes('bytes from'));
    await ending.agent.stop();
    await until('the other one to relay', async () => ![name, undefined].includes(await relay()));
    const found = Date.now();
    await until('answers by it', () => answeredAfter(pings.output, found));
    await pings.kill();
    await untilReaches(hidden[1]!, 'c4', 'hut');
    await ending.agent.start();
    await untilReady([...lab().hosts, ...hidden]);
    await untilReaches(hidden[0]!, 'c3', 'den');
  });

  test('and go on without one as soon as packets get through past it', async () => {
    for (const router of routers) {
      await router.setMapping('preserving');
      await router.forget();
    }
    await until('nobody to relay', async () => !(await relaying()));
    const [here, there] = routers.map(({ host }) => host) as [Host, Host];
    // Something has to be said for somebody to find that nothing comes back.
    const pings = hidden[0]!.spawn(['ip', 'netns', 'exec', 'c3', 'ping', '-n', '-q', '-i', '0.2', 'den']);
    await lab().partition([here], [there]);
    await until('somebody to relay', relaying);
    await untilReaches(hidden[0]!, 'c3', 'den');
    await lab().heal();
    // Packets of both have to cross each other on the way.
    await until('nobody to relay any more', async () => !(await relaying()), 300_000);
    await untilReaches(hidden[0]!, 'c3', 'den');
    await untilReaches(hidden[1]!, 'c4', 'hut');
    await pings.kill();
  }, 1_800_000);
});
