/** Broadcasts and multicasts across three hosts, over the data path that the reconciler makes, and none where there are to be none. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NetworkRecord } from '../../../src/core/records.ts';
import { ALL_ZEROS } from '../../../src/core/row-table.ts';
import { ECHO, ipv4Frame, ipv6Frame, SEND_FRAMES } from '../../lab/frames.ts';
import { Lab } from '../../lab/lab.ts';
import { answerMdns, askMdns, hear, type Listener, MDNS_GROUP, SAY_AT_ONCE, say } from '../../lab/multicast.ts';
import { until } from '../../lab/until.ts';
import { Station } from './station.ts';

const VNIS = { cast: 4110, plain: 4111, slow: 4112, six: 4113, vault: 4114 } as const;
type Name = keyof typeof VNIS;
const NAMES = Object.keys(VNIS) as Name[];
const PORT = 7_000;
const everybody = '255.255.255.255';

let lab: Lab;
let stations: readonly Station[];
let networks: Record<Name, NetworkRecord>;

const blockOf = (name: Name) => `10.8.${NAMES.indexOf(name)}`;
const toAllOf = (name: Name) => `${blockOf(name)}.255`;
const macOf = (name: Name, last: number) => `02:42:0a:08:0${NAMES.indexOf(name)}:0${last}`;
const nth = (host: number) => stations[host - 1]!;

/** VXLAN packets that come to a host: what is in them by VNI, and which of them are to more than one. */
const WIRE = `table ip wire {
  ${NAMES.map((name) => `counter ${name} {}\ncounter ${name}_one {}`).join('\n')}
  counter hosts {}
  counter requests {}
  counter discovery {}
  chain input {
    type filter hook input priority -400;
    udp dport != 4789 accept
    ${NAMES.map((name) => `@th,96,24 ${VNIS[name]} @th,128,8 & 1 == 1 counter name ${name}`).join('\n')}
    ${NAMES.map((name) => `@th,96,24 ${VNIS[name]} @th,128,8 & 1 == 0 counter name ${name}_one`).join('\n')}
    @th,176,24 { 0x0a6f76, 0x0a6f67 } counter name hosts
    @th,224,16 0x0806 counter name requests
    @th,224,16 0x86dd @th,288,8 58 @th,560,8 135-136 counter name discovery
  }
}`;

async function wire(host: number): Promise<Record<string, number>> {
  const listed = await nth(host).host.must(['nft', 'list', 'table', 'ip', 'wire']);
  return Object.fromEntries(
    [...listed.matchAll(/counter (\w+) \{\s+packets (\d+)/g)].map(([, name, packets]) => [name!, Number(packets)]),
  );
}

/** What the rules of that chain of the network's have dropped. */
async function dropped(host: number, name: Name, chain: 'forward' | 'input' | 'output' = 'forward'): Promise<number> {
  const inside = ['nsenter', `--net=/run/netns/ovl-${VNIS[name]}`];
  const listed = await nth(host).host.must([...inside, 'nft', 'list', 'chain', 'bridge', 'overlayd', chain]);
  return [...listed.matchAll(/counter packets (\d+)/g)].reduce((sum, [, packets]) => sum + Number(packets), 0);
}

/** What all of these hear of what one says; nothing is heard later than the last one of it. */
async function heardBy(listeners: readonly Listener[], last: string): Promise<(readonly string[])[]> {
  await until('the last one', () => listeners.every(({ heard }) => heard.includes(last)));
  return listeners.map(({ heard }) => heard);
}

const upTo = (count: number) => Array.from({ length: count }, (_, at) => String(at + 1));
const publishAll = async () => {
  for (const from of stations)
    for (const to of stations)
      for (const [id, record] of from.world.endpointRecords)
        if (record.nodeId === from.world.selfId) to.world.endpointRecords.set(id, record);
  for (const { reconciler } of stations) reconciler.markDirty('all');
  for (const { reconciler } of stations) await Promise.all(NAMES.map((name) => reconciler.converge(networks[name].id)));
};

beforeAll(async () => {
  lab = await Lab.open({ hosts: 3 });
  stations = [1, 2, 3].map((host) => new Station(lab.host(host), { auditIntervalMs: 3_600_000 }));
  for (const { world } of stations) {
    for (const host of [1, 2, 3]) world.addNode(`h${host}`, lab.host(host).address);
    const add = (name: Name, options: Record<string, string>, internal = false) =>
      world.addNetwork(name, {
        ...{ vni: VNIS[name], internal, options },
        ...(name === 'six'
          ? { cidr: 'fd00:8::/64', gateway: 'fd00:8::1' }
          : { cidr: `${blockOf(name)}.0/24`, gateway: `${blockOf(name)}.1` }),
      });
    const cast = { multicast: 'true', multicast_rate: '10000' };
    networks = {
      cast: add('cast', cast),
      plain: add('plain', {}),
      slow: add('slow', { multicast: 'true', multicast_rate: '1' }),
      six: add('six', cast),
      vault: add('vault', { ...cast, gateway_mode_ipv4: 'isolated' }, true),
    };
  }
  for (const station of stations) {
    await station.host.must(['nft', '-f', '-'], { input: WIRE });
    station.start();
  }
  // 2, 4 and 5 on the first, the second and the third host; 3 beside 2.
  for (const [host, last] of [
    [1, 2],
    [1, 3],
    [2, 4],
    [3, 5],
  ] as const) {
    for (const name of NAMES) {
      await nth(host).host.container(`${name}${last}`);
      const address = name === 'six' ? `fd00:8::${last}` : `${blockOf(name)}.${last}`;
      await nth(host).attach(networks[name], address, `${name}${last}`);
    }
  }
  await publishAll();
});

afterAll(async () => {
  await Promise.all((stations ?? []).map((station) => station.stop()));
  await lab?.close();
});

const listeners = (name: Name, port: number, group?: string) =>
  Promise.all(
    ([1, 2, 3] as const).map((host) => hear(nth(host).host, `${name}${host === 1 ? 3 : host + 2}`, port, group)),
  );
const sayFrom = (name: Name, to: string, port: number, ...texts: readonly string[]) =>
  say(nth(1).host, `${name}2`, to, port, ...texts);
const stopAll = (all: readonly Listener[]) => Promise.all(all.map((each) => each.stop()));

describe('with multicast=true', () => {
  it('what is for everybody is heard once on every host', async () => {
    const all = await listeners('cast', PORT);
    await sayFrom('cast', toAllOf('cast'), PORT, ...upTo(20));
    await sayFrom('cast', everybody, PORT, 'last');
    expect(await heardBy(all, 'last')).toEqual(all.map(() => [...upTo(20), 'last']));
    // Not by the gateways.
    for (const host of [1, 2, 3]) expect(await dropped(host, 'cast', 'input')).toBeGreaterThanOrEqual(21);
    await stopAll(all);
  });

  it('a stream to a group is heard by its members, once and in order, and reports of membership by all', async () => {
    const reports = `table netdev frames { chain ingress {
      type filter hook ingress device eth0 priority 0; ip protocol igmp ip saddr ${blockOf('cast')}.4 counter; }; }`;
    await nth(1).host.mustExec('cast2', ['nft', '-f', '-'], { input: reports });
    const all = await listeners('cast', PORT, '239.1.2.3');
    const texts = upTo(300);
    await sayFrom('cast', '239.1.2.3', PORT, ...texts);
    expect(await heardBy(all, texts.at(-1)!)).toEqual(all.map(() => texts));
    await until('a report of membership', async () => {
      const listed = await nth(1).host.mustExec('cast2', ['nft', 'list', 'table', 'netdev', 'frames']);
      return Number(/packets (\d+)/.exec(listed)![1]) > 0;
    });
    await stopAll(all);
  });

  it.each([4, 6] as const)('multicast DNS finds what is on another host, of IPv%i', async (family) => {
    const [name, group] = [family === 4 ? 'cast' : 'six', MDNS_GROUP[family]] as const;
    const all = await Promise.all([
      answerMdns(nth(2).host, `${name}4`, 'printer.local', '10.8.0.4', group),
      answerMdns(nth(3).host, `${name}5`, 'scanner.local', '10.8.0.5', group),
    ]);
    for (const [asked, address] of [
      ['printer.local', '10.8.0.4'],
      ['scanner.local', '10.8.0.5'],
    ] as const)
      expect(await askMdns(nth(1).host, `${name}2`, asked, group)).toBe(address);
    expect(await askMdns(nth(2).host, `${name}4`, 'scanner.local', group)).toBe('10.8.0.5');
    await stopAll(all);
  });

  it('a network with an isolated gateway has it as well', async () => {
    const all = await listeners('vault', PORT);
    await sayFrom('vault', toAllOf('vault'), PORT, 'one');
    expect(await heardBy(all, 'one')).toEqual(all.map(() => ['one']));
    await stopAll(all);
  });

  it('ARP and solicitations are answered by the own host alone', async () => {
    for (const host of [1, 2, 3])
      await nth(host).host.mustExec(`cast${host === 1 ? 2 : host + 2}`, ['ip', 'neigh', 'flush', 'all']);
    const heard = `table netdev asked { chain ingress {
      type filter hook ingress device eth0 priority 0; arp operation request counter; }; }`;
    await nth(1).host.mustExec('cast3', ['nft', '-f', '-'], { input: heard });
    const ping = (container: string, address: string) =>
      nth(1).host.mustExec(container, ['ping', '-q', '-c', '1', '-W', '5', address]);
    for (const last of [4, 5]) {
      await ping('cast2', `${blockOf('cast')}.${last}`);
      await ping('six2', `fd00:8::${last}`);
    }
    for (const host of [2, 3]) expect(await wire(host)).toMatchObject({ requests: 0, discovery: 0 });
    expect(await nth(1).host.mustExec('cast3', ['nft', 'list', 'table', 'netdev', 'asked'])).toContain('packets 0');
  });

  // On a network where nobody joins a group, so that no more is said than what is said here.
  it('a MAC that nobody has is sent to nobody', async () => {
    const all = await listeners('vault', PORT);
    const before = await wire(2);
    const [sender, receiver] = [macOf('vault', 2), '02:42:de:ad:be:ef'];
    const lost = ipv4Frame({ from: '10.8.4.2', to: '10.8.4.77', sender, receiver });
    await nth(1).host.mustExec('vault2', ['perl', '-e', SEND_FRAMES, 'eth0', ...upTo(20).map(() => lost)]);
    await sayFrom('vault', toAllOf('vault'), PORT, 'last');
    await heardBy(all, 'last');
    const after = await wire(2);
    expect(after.vault_one).toBe(before.vault_one);
    expect(after.vault).toBe(before.vault! + 1);
    await stopAll(all);
  });

  it('nobody speaks to all with what is not his own, nor without an address', async () => {
    const all = await listeners('vault', PORT);
    const before = await wire(3);
    const toAll = { to: toAllOf('vault'), sender: macOf('vault', 2), receiver: 'ff:ff:ff:ff:ff:ff' };
    const forged = [
      { ...toAll, from: '0.0.0.0' },
      { ...toAll, from: '10.8.4.4' },
      { ...toAll, from: '10.8.4.2', sender: macOf('vault', 4) },
    ];
    await nth(1).host.mustExec('vault2', ['perl', '-e', SEND_FRAMES, 'eth0', ...forged.map(ipv4Frame)]);
    const six = {
      from: '::',
      to: 'ff02::1',
      sender: '02:42:00:00:00:02',
      receiver: '33:33:00:00:00:01',
      payload: ECHO,
    };
    await nth(1).host.mustExec('six2', ['perl', '-e', SEND_FRAMES, 'eth0', ipv6Frame(six)]);
    await sayFrom('vault', toAllOf('vault'), PORT, 'last');
    await heardBy(all, 'last');
    const after = await wire(3);
    expect(after.vault).toBe(before.vault! + 1);
    await stopAll(all);
  });

  it('no more leaves a host than the rate, what is too much is counted, and neighbours hear all', async () => {
    const [near, ...far] = await listeners('slow', PORT);
    const before = [await wire(2), await wire(3)];
    const texts = upTo(200);
    await sayFrom('slow', '239.1.2.3', PORT, ...texts);
    await sayFrom('slow', everybody, PORT, ...texts, 'last');
    expect((await heardBy([near!], 'last'))[0]).toEqual([...texts, 'last']);
    const lost = await dropped(1, 'slow');
    expect(lost).toBeGreaterThan(0);
    const left = 2 * texts.length + 1 - lost;
    await until('the rest to arrive', async () => {
      const now = [await wire(2), await wire(3)];
      return now.every((each, at) => each.slow! - before[at]!.slow! === left);
    });
    expect(await dropped(2, 'slow')).toBe(0);
    await stopAll([near!, ...far]);
  });

  it('what is cut into many packets behind the limit is no single packet to it', async () => {
    const near = await hear(nth(1).host, 'slow3', PORT);
    const ofBytes = async () => {
      const chain = ['nsenter', `--net=/run/netns/ovl-${VNIS.slow}`, 'nft', 'list', 'chain', 'bridge', 'overlayd'];
      const listed = await nth(1).host.must([...chain, 'forward']);
      return Number(/bytes\/second .* counter packets (\d+)/.exec(listed)![1]);
    };
    const before = await ofBytes();
    await nth(1).host.mustExec('slow2', ['perl', '-e', SAY_AT_ONCE, toAllOf('slow'), String(PORT), '40']);
    await until('all of it nearby', () => near.heard.length === 40);
    expect(await ofBytes()).toBe(before + 1);
    await near.stop();
  });

  it('goes to the hosts that have containers of the network, as they come and go', async () => {
    const rows = async () => {
      const listed = await nth(1).host.must(['bridge', '-n', `ovl-${VNIS.cast}`, 'fdb', 'show', 'dev', 'vx0']);
      return [...listed.matchAll(new RegExp(`^${ALL_ZEROS} dst (\\S+)`, 'gm'))].map(([, vtep]) => vtep).sort();
    };
    const addresses = [2, 3].map((host) => lab.host(host).address);
    expect(await rows()).toEqual(addresses);
    // Somebody takes one away, and puts another one there.
    const edit = (verb: string, dst: string) =>
      nth(1).host.must(['bridge', '-n', `ovl-${VNIS.cast}`, 'fdb', verb, ALL_ZEROS, 'dev', 'vx0', 'dst', dst, 'self']);
    await edit('del', addresses[0]!);
    await until('it to be back', async () => (await rows()).join() === addresses.join());
    await edit('append', '10.77.0.99');
    await until('it to be gone', async () => (await rows()).join() === addresses.join());
    const last = [...nth(3).world.endpointRecords.values()].find(
      ({ networkId, nodeId }) => networkId === networks.cast.id && nodeId === 'h3',
    )!;
    for (const { world } of stations) world.endpointRecords.delete(last.id);
    nth(1).reconciler.markDirty('all');
    await nth(1).reconciler.converge(networks.cast.id);
    expect(await rows()).toEqual([addresses[0]]);
    for (const { world } of stations) world.endpointRecords.set(last.id, last);
    await publishAll();
    expect(await rows()).toEqual(addresses);
  });
});

describe('without the option', () => {
  it('nothing of it leaves a host, nor reaches another container', async () => {
    const all = await listeners('plain', PORT, '239.1.2.3');
    await sayFrom('plain', '239.1.2.3', PORT, ...upTo(20));
    await sayFrom('plain', everybody, PORT, ...upTo(20));
    await sayFrom('plain', toAllOf('plain'), PORT, ...upTo(20));
    // What is addressed to one arrives, and after all that was sent before.
    for (const last of [3, 4, 5]) await sayFrom('plain', `${blockOf('plain')}.${last}`, PORT, 'last');
    expect(await heardBy(all, 'last')).toEqual(all.map(() => ['last']));
    for (const host of [2, 3]) expect((await wire(host)).plain).toBe(0);
    await stopAll(all);
  });
});

it('no host says anything for itself, what the kernel has to say of links that are made anew included', async () => {
  const keptBack = async () => {
    const chain = await nth(1).host.must(['nft', 'list', 'chain', 'inet', 'overlayd', 'output']);
    return Number(/@th,128,16 0x3333.* counter packets (\d+)/.exec(chain)![1]);
  };
  const before = await keptBack();
  await nth(1).host.must(['ip', '-n', `ovl-${VNIS.six}`, 'link', 'delete', 'vx0']);
  // It reports its groups within moments of coming up.
  await until('a report', async () => (await keptBack()) > before);
  await nth(1).host.must(['ip', '-n', `ovl-${VNIS.six}`, 'link', 'delete', 'br0']);
  await until('one of the bridge', async () => (await dropped(1, 'six', 'output')) > 0);
  for (const host of [2, 3]) expect(await wire(host)).toMatchObject({ hosts: 0, plain: 0 });
});
