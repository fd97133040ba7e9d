/** What is wrong between real hosts, made and found by name. */
import { beforeAll, expect, test } from 'vitest';
import { type Told, untilWell } from '../lab/finding.ts';
import type { Host } from '../lab/host.ts';
import { OUTSIDE } from '../lab/internet.ts';
import { attach } from '../lab/network.ts';
import { expectSuccess } from '../lab/process.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 3, cluster: true });
const [one, two, three] = [1, 2, 3].map((number) => () => lab().host(number)) as [() => Host, () => Host, () => Host];

async function diagnose(host: Host, ...options: readonly string[]): Promise<{ code: number; certain: Told[] }> {
  const { code, stdout } = await host.run(['overlayd', 'doctor', '--format', 'json', ...options]);
  const findings: Told[] = JSON.parse(stdout).Findings;
  return { code, certain: findings.filter(({ Certain }) => Certain) };
}

const named = (told: readonly Told[]) => told.map(({ Code, Subject }) => `${Code} ${Subject}`.trim());

/** Waits until it finds these and nothing else for certain, with the code that it ends with; returns them. */
async function untilFound(host: Host, names: readonly string[], ...options: readonly string[]): Promise<Told[]> {
  return until(`${host.name} to find ${names.join(', ')}`, async () => {
    const { certain, code } = await diagnose(host, ...options);
    if (named(certain).join() === names.join() && code === 1) return certain;
    throw new Error(`it finds ${named(certain).join(', ') || 'nothing'}, and ends with ${code}`);
  });
}

/** Drops it in that host's own firewall, until the returned function is called. */
async function drop(host: Host, hook: string, rule: string): Promise<() => Promise<unknown>> {
  const input = `table inet other { chain own { type filter hook ${hook} priority 10; policy accept; ${rule} drop\n}\n}\n`;
  await host.must(['nft', '-f', '-'], { input });
  return () => host.must(['nft', 'delete', 'table', 'inet', 'other']);
}

beforeAll(async () => {
  await one().mustOverlayd('network', 'create', 'web');
  await attach(one(), 'c1', 'web');
  await attach(two(), 'c2', 'web');
  await until('all paths to be known, and what they carry', async () => {
    const statuses = await Promise.all([one(), two(), three()].map((host) => host.json('status')));
    const isKnown = ({ Path }: { Path: { State: string; Mtu: number } }) => Path?.State === 'passes' && Path.Mtu > 0;
    return statuses.every(({ Peers }) => Peers.length === 2 && Peers.every(isKnown));
  });
  await untilWell(one());
});

test('where nothing is wrong nothing is found, and each path is known with its MTU', async () => {
  const { certain, code } = await diagnose(one());
  expect(named(certain)).toEqual([]);
  expect(code).toBe(0);
  const { Peers, State } = await one().json('status');
  expect(State).toBe('ready');
  for (const { Path } of Peers)
    expect(Path).toMatchObject({ State: 'passes', LossPercent: expect.any(Number), Mtu: 1_450 });
  expect(await one().mustOverlayd('status')).toMatch(/^h2 .* passes for .* \d+ % .* ms +1450$/m);
});

test('a data port that a firewall drops is found from the other hosts, and on its own', async () => {
  const heal = await drop(two(), 'input', 'udp dport 4789');
  await untilFound(one(), ['data-path-lost h2']);
  expect((await one().json('status')).State).toBe('degraded');
  await until('h2 to know that it is its own firewall', async () =>
    named((await two().json('status')).Findings).includes('data-port-filtered'),
  );
  await heal();
  await untilWell(one());
});

test('it is found by itself as well: a status is not ready while packets are lost', async () => {
  const heal = await drop(three(), 'output', 'udp dport 4789');
  await until('h1 to find it', async () => {
    const { Findings, State } = await one().json('status');
    return State === 'degraded' && named(Findings).includes('data-path-lost h3');
  });
  await heal();
  await until('h1 to be well', async () => (await one().json('status')).State === 'ready');
});

test('a gossip port that is closed to this host is found', async () => {
  const heal = await drop(three(), 'input', `ip saddr ${one().address} tcp dport 7946 tcp flags syn`);
  expect(named((await diagnose(one(), '--peer', 'h3')).certain)).toContain('gossip-blocked h3');
  expect(named((await diagnose(one(), '--peer', 'h2')).certain)).not.toContain('gossip-blocked h3');
  await heal();
  await untilWell(one());
});

test('a path with a smaller MTU than the links is found, with what passes', async () => {
  const setMtu = async (mtu: string) => expectSuccess(await lab().wire.run(['ip', 'link', 'set', 'p-h3', 'mtu', mtu]));
  await setMtu('1300');
  const [narrow] = await untilFound(one(), ['path-mtu h3'], '--peer', 'h3');
  const [, passes] = /of (\d+) bytes and less pass/.exec(narrow!.Message) ?? [];
  expect(Number(passes)).toBeGreaterThan(1_230);
  // A bridge lets room for a VLAN's tag pass.
  expect(Number(passes)).toBeLessThanOrEqual(1_254);
  await setMtu('1500');
  await untilWell(one());
});

const LEGACY = 'iptables-legacy -I FORWARD -i ovl+ -j DROP';
const UFW = 'iptables -N ufw-before-forward && iptables -A FORWARD -i ovl+ -j DROP';
const DOCKER = 'iptables -N DOCKER-USER && iptables -A FORWARD -j DOCKER-USER && iptables -P FORWARD DROP';
const chainOf = (table: string, chain: string) =>
  `nft 'table inet ${table} { chain ${chain} { type filter hook forward priority 10; iifname "ovl*" drop; }; }'`;
/** By name: what makes it, what undoes it, and the command that is told to mend it; where that is of this host it is tried. */
const FIREWALLS = [
  ["this host's firewall", chainOf('other', 'own'), 'nft delete table inet other', /in its forward rules/, false],
  ['firewalld', chainOf('firewalld', 'filter_FORWARD'), 'nft delete table inet firewalld', /`firewall-cmd .*/, false],
  ['ufw', UFW, 'iptables -F FORWARD; iptables -X', /`ufw route allow in on /, false],
  ["Docker's firewall", DOCKER, 'iptables -P FORWARD ACCEPT; iptables -F; iptables -X', /`(iptables [^`]+)`/, true],
  ['a rule of iptables-legacy', LEGACY, 'iptables-legacy -F FORWARD', /`(iptables-legacy -I [^`]+)`/, true],
] as const;

test.each(FIREWALLS)(
  '%s that drops what containers send out is found and named',
  async (name, make, undo, mend, isTried) => {
    const sendOut = () => one().exec('c1', ['ping', '-q', '-c', '6', '-i', '0.05', '-W', '1', OUTSIDE[4]]);
    // Something has passed: what is counted from then on is of now.
    expect((await sendOut()).code).toBe(0);
    await diagnose(one());
    await one().must(['sh', '-c', make]);
    await sendOut();
    const [filtered] = await untilFound(one(), ['egress-filtered']);
    expect(filtered?.Message).toMatch(new RegExp(`^${name}`));
    const [, command = ''] = mend.exec(filtered!.Message) ?? [undefined];
    expect(filtered?.Message).toMatch(mend);
    expect(named((await one().json('status')).Findings)).toContain('egress-filtered');
    if (isTried) {
      await one().must(['sh', '-c', command]);
      expect((await sendOut()).code).toBe(0);
      await untilWell(one());
    }
    await one().must(['sh', '-c', undo]);
    // It is over when something has passed.
    await sendOut();
    await untilWell(one());
  },
);

test('who leaves has nothing of it any more, and is a path no more', async () => {
  expect(await three().must(['ip', 'netns', 'list'])).toContain('overlayd-path');
  await three().mustOverlayd('leave');
  expect(await three().must(['ip', 'netns', 'list'])).not.toContain('overlayd-path');
  await untilWell(one());
});
