/** What is wrong with ways that only some packets take: those of encrypted networks, those to published ports, those with a bad checksum. */
import { beforeAll, expect, test } from 'vitest';
import { untilEncryptable } from '../lab/cluster.ts';
import { type Told, untilWell } from '../lab/finding.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { expectSuccess } from '../lab/process.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

interface Peer {
  readonly Name: string;
  readonly Path: { readonly State: string; readonly Mtu: number } | null;
  readonly EncryptedPath: { readonly State: string; readonly Mtu: number } | null;
}

const lab = useLab({ hosts: 2, cluster: true });
const hosts = () => lab().hosts as [Host, Host];

async function diagnose(host: Host, ...options: readonly string[]) {
  const { stdout } = await host.run(['overlayd', 'doctor', '--format', 'json', ...options]);
  const { Checks, Findings } = JSON.parse(stdout) as {
    Checks: { Name: string; Outcome: string; Detail: string }[];
    Findings: Told[];
  };
  return { checks: new Map(Checks.map((each) => [each.Name, each])), findings: Findings };
}

const namesOf = (findings: readonly Told[]) => findings.map(({ Code, Subject }) => `${Code} ${Subject}`);
const certainOf = (findings: readonly Told[]) => findings.filter(({ Certain }) => Certain);

/**
 * Waits until `doctor` finds that and nothing else for certain, and returns it. On a busy machine what a question came to may not be
 * known in time, and a place where links have just been made anew knows nothing of what came before.
 */
async function untilFound(host: Host, names: readonly string[], ...options: readonly string[]) {
  return until(`${host.name} to find ${names.join(', ')}`, async () => {
    const certain = certainOf((await diagnose(host, ...options)).findings);
    if (namesOf(certain).join() === names.join()) return certain;
    throw new Error(`it finds ${namesOf(certain).join(', ') || 'nothing'}`);
  });
}

const peersOf = async (host: Host): Promise<readonly Peer[]> => (await host.json('status')).Peers;

/** In that host's own firewall, until the returned function is called. */
async function rule(host: Host, hook: string, priority: number, text: string): Promise<() => Promise<unknown>> {
  const chain = `chain own { type filter hook ${hook} priority ${priority}; policy accept; ${text}\n}`;
  await host.must(['nft', '-f', '-'], { input: `table inet other { ${chain}\n}\n` });
  return () => host.must(['nft', 'delete', 'table', 'inet', 'other']);
}

beforeAll(async () => {
  const [one, two] = hosts();
  await one.mustOverlayd('network', 'create', 'web');
  await untilEncryptable(one);
  await one.mustOverlayd('network', 'create', '-o', 'encrypted', 'secret');
  for (const network of ['web', 'secret']) {
    await attach(one, `${network}1`, network);
    await attach(two, `${network}2`, network, '--name', `${network}two`);
    await untilReaches(one, `${network}1`, `${network}two`);
  }
  await until('both paths to be known, and what they carry', async () => {
    const peers = [...(await peersOf(one)), ...(await peersOf(two))];
    return (
      peers.length === 2 &&
      peers.every(
        ({ Path, EncryptedPath }) =>
          Path?.State === 'passes' && EncryptedPath?.State === 'passes' && Path.Mtu > 0 && EncryptedPath.Mtu > 0,
      )
    );
  });
});

test('the path of encrypted networks is known by itself, with what fits inside', async () => {
  const [one] = hosts();
  const [peer] = await peersOf(one);
  expect(peer?.EncryptedPath).toMatchObject({ State: 'passes', Mtu: 1_386 });
  expect(await one.mustOverlayd('status')).toMatch(/^TUNNEL TO .* DATA PATH .* MTU INSIDE$/m);
  const { checks, findings } = await diagnose(one, '--network', 'secret');
  expect(certainOf(findings)).toEqual([]);
  expect(checks.get('data path')).toMatchObject({ Outcome: 'ok', Detail: expect.stringContaining('1 host') });
  expect(checks.get('MTU')?.Detail).toBe('packets of 1386 bytes pass');
});

/** As a device on the way would, that knows of some networks and not of this one. */
const ofNetwork = async (host: Host, network: string) => {
  const [{ Vni }] = (await host.json('network', 'inspect', network)) as [{ Vni: number }];
  return `udp dport 4789 @th,96,24 ${Vni} drop`;
};

test("a network's own VNI is looked at as well, and what drops it alone is found by the network, with the direction", async () => {
  const [one, two] = hosts();
  // Each has to have seen its own links, and that the other one answers.
  await until('the way by the VNI to be known', async () => {
    const { checks } = await diagnose(one, '--network', 'web');
    return /1 host, .*; 1 way by VNI of networks$/.test(checks.get('data path')?.Detail ?? '');
  });
  const ways = { input: /those from here do not get to h2/, output: /those from h2 do not get here/ };
  for (const [hook, words] of Object.entries(ways)) {
    const heal = await rule(two, hook, 10, await ofNetwork(two, 'web'));
    expect((await one.exec('web1', ['ping', '-c', '2', '-i', '0.1', '-W', '1', 'webtwo'])).code).not.toBe(0);
    const [lost] = await untilFound(one, ['network-path-lost web'], '--network', 'web');
    expect(lost?.Message).toMatch(words);
    // Of another network it says nothing.
    expect(certainOf((await diagnose(one, '--network', 'secret')).findings)).toEqual([]);
    const { Findings, State } = await one.json('status');
    expect(State).toBe('degraded');
    expect(Findings.map(({ Code }: Told) => Code)).toContain('network-path-lost');
    await heal();
    await untilWell(one);
  }
  // What somebody was told of has happened, however soon it was mended.
  const lines = (await one.mustOverlayd('events', '--local', '--filter', 'type=path-impaired')).split('\n');
  expect(lines.filter((line) => line.includes('network-path-lost') && line.includes('web'))).toHaveLength(2);
});

test('a tunnel that is made anew on one of the hosts is not taken for a lossy way, and is looked at as before', async () => {
  const [one, two] = hosts();
  const [{ Vni }] = (await one.json('network', 'inspect', 'web')) as [{ Vni: number }];
  for (const host of [one, two]) {
    await host.must(['ip', '-n', `ovl-${Vni}`, 'link', 'delete', 'vx0']);
    await untilReaches(one, 'web1', 'webtwo');
    // Each of them asks by it, and answers.
    for (const asking of [one, two, one, two]) {
      const { findings } = await diagnose(asking, '--network', 'web');
      expect(findings.filter(({ Code }) => Code === 'network-path-lost')).toEqual([]);
    }
  }
  const heal = await rule(two, 'input', 10, await ofNetwork(two, 'web'));
  await untilFound(one, ['network-path-lost web'], '--network', 'web');
  await heal();
  await untilWell(one);
});

test('no container hears of it, and large packets of a network alone are found as that', async () => {
  const [one, two] = hosts();
  const counter = 'table netdev heard { chain every { type filter hook ingress device eth0 priority 0; counter\n}\n}\n';
  await two.mustExec('web2', ['nft', '-f', '-'], { input: counter });
  const heal = await rule(two, 'input', 10, (await ofNetwork(two, 'web')).replace('drop', 'meta length > 1000 drop'));
  const [lost] = await untilFound(one, ['network-path-lost web'], '--network', 'web');
  expect(lost?.Message).toMatch(/those of 1450 bytes \(small ones pass\) from here do not get to h2/);
  expect(await two.mustExec('web2', ['nft', 'list', 'table', 'netdev', 'heard'])).toContain('packets 0 ');
  await heal();
  await untilWell(one);
});

test('where nobody watches for it by hand a status tells of it, by itself and of an encrypted network too', async () => {
  const [one, two] = hosts();
  const inside = `table inet other { chain own { type filter hook input priority 10; ${await ofNetwork(two, 'secret')}\n}\n}\n`;
  await two.must(['ip', 'netns', 'exec', 'ovl-wg', 'nft', '-f', '-'], { input: inside });
  await untilFound(one, ['network-path-lost secret'], '--network', 'secret');
  // The other one, whom nobody asked.
  await until('h2 to tell of it', async () => {
    const { Findings, State } = await two.json('status');
    return State === 'degraded' && Findings.some(({ Code }: Told) => Code === 'network-path-lost');
  });
  await two.must(['ip', 'netns', 'exec', 'ovl-wg', 'nft', 'delete', 'table', 'inet', 'other']);
  await untilWell(one);
  await untilWell(two);
});

test("what drops WireGuard's packets alone is found as that", async () => {
  const [one, two] = hosts();
  const heal = await rule(two, 'input', 10, 'udp dport != 4789 udp length > 8 drop');
  const [lost] = await until('the way within WireGuard to be lost', async () => {
    const { findings } = await diagnose(one, '--network', 'secret');
    const all = findings.filter(({ Code, Subject }) => Code === 'data-path-lost' && Subject === 'h2');
    return all.length > 0 && all;
  });
  expect(lost?.Message).toMatch(/VXLAN within WireGuard, \d+\/udp.*containers of encrypted networks/);
  const { findings: plain } = await diagnose(one, '--network', 'web');
  expect(plain.filter(({ Code, Message }) => Code === 'data-path-lost' && !Message.includes('WireGuard'))).toEqual([]);
  await heal();
  await untilWell(one);
});

test('a path with a smaller MTU than the links is found for both, with what passes', async () => {
  const [one] = hosts();
  const setMtu = async (mtu: string) => expectSuccess(await lab().wire.run(['ip', 'link', 'set', 'p-h2', 'mtu', mtu]));
  await setMtu('1300');
  const narrow = await until('both to be found', async () => {
    const all = (await diagnose(one)).findings.filter(({ Code }) => Code === 'path-mtu');
    return all.length === 2 && all.map(({ Message }) => Message);
  });
  expect(narrow).toEqual([
    expect.stringMatching(/between containers here and on h2/),
    expect.stringMatching(/between containers of encrypted networks here and on h2/),
  ]);
  const passes = narrow.map((text) => Number(/of (\d+) bytes and less pass/.exec(text)?.[1]));
  // What WireGuard takes of it is room that the other has.
  expect(passes[1]).toBeLessThan(passes[0]!);
  await setMtu('1500');
  await untilWell(one);
});

/** As `ethtool -K LINK tx off` does: what leaves has its checksum by then. */
const WITHOUT_OFFLOAD = `
  my ($link, $on) = @ARGV;
  my $value = pack 'LL', 0x17, $on;
  socket my $socket, 2, 2, 0 or die $!;
  ioctl $socket, 0x8946, pack('a16P', $link, $value) or die $!;
`;

test('packets that come in with a wrong checksum are told on the host that drops them', async () => {
  const [one, two] = hosts();
  const link = /dev (\S+)/.exec(await one.must(['ip', '-o', 'route', 'get', two.address]))![1]!;
  await one.must(['perl', '-e', WITHOUT_OFFLOAD, link, '0']);
  // Of the packet inside, behind UDP, VXLAN, Ethernet, IPv4 and six bytes of UDP. The outer checksum is wrong by that, too.
  const heal = await rule(two, 'prerouting', -310, 'udp dport 4789 @th,448,16 set 0x1234');
  await until('h2 to tell of it', async () => {
    const { findings } = await diagnose(two);
    return (
      findings.some(({ Code }) => Code === 'data-path-lost') && findings.some(({ Code }) => Code === 'checksum-broken')
    );
  });
  await heal();
  await one.must(['perl', '-e', WITHOUT_OFFLOAD, link, '1']);
  await until('the path to be well', async () => (await peersOf(one))[0]?.Path?.State === 'passes');
});

test('a firewall that drops what is sent to published ports is found', async () => {
  const [one, two] = hosts();
  await two.mustOverlayd('publish', '8080:web/webtwo:80');
  const heal = await rule(two, 'forward', 10, 'oifname "ovl*" drop');
  await until('h2 to find it', async () => {
    await one.run([
      'bash',
      '-c',
      `for n in 1 2 3 4 5 6; do timeout 0.2 bash -c '>/dev/tcp/${two.address}/8080' & done; wait`,
    ]);
    return (await diagnose(two)).findings.some(({ Code }) => Code === 'published-filtered');
  });
  await heal();
  await two.mustOverlayd('publish', 'rm', '8080');
});

test('a join port that is closed to this host is found', async () => {
  const [one, two] = hosts();
  const heal = await rule(two, 'input', 10, `ip saddr ${one.address} tcp dport 2377 drop`);
  expect(namesOf((await diagnose(one)).findings)).toContain('join-blocked h2');
  await heal();
});
