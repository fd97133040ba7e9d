/** Damage of each kind, made with the ordinary tools on one host, and found by name from another one. */
import { beforeAll, expect, test } from 'vitest';
import { portLinkOf } from '../../src/core/plan/naming.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { observeKernel } from '../lab/observation.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

interface Item {
  readonly Node: string;
  readonly Network: string;
  readonly Place: string;
  readonly Kind: string;
  readonly Object: string;
  readonly State: string;
  readonly Detail: string;
  readonly Why: string;
  readonly Hindered: string;
}

interface Shown {
  readonly Drift: readonly Item[];
  readonly Repaired: readonly Item[];
  readonly PutBack: readonly (Item & { readonly Times: number })[];
  readonly Hosts: readonly { readonly Node: string; readonly Answered: boolean; readonly Reason: string }[];
}

const lab = useLab({ hosts: 3, cluster: true });
const hosts = () => lab().hosts as [Host, Host, Host];
let place: string;
let port: string;

async function drift(host: Host, ...options: readonly string[]): Promise<Shown & { readonly code: number }> {
  const { code, stdout } = await host.run(['overlayd', 'drift', '--format', 'json', ...options]);
  return { code, ...(JSON.parse(stdout) as Shown) };
}

const short = ({ Node, Network, Place, Kind, Object: object }: Item) =>
  `${Node} ${Network || '-'} ${Place} ${Kind} ${object}`;

beforeAll(async () => {
  const [one, two] = hosts();
  await one.mustOverlayd('network', 'create', '--subnet', '10.20.0.0/24', 'web');
  await attach(one, 'a', 'web', '--name', 'api');
  await attach(two, 'b', 'web', '--name', 'shop');
  await untilReaches(two, 'b', 'api');
  await two.mustOverlayd('publish', '8080:web/shop:80');
  const [{ Vni }] = (await one.json('network', 'inspect', 'web')) as [{ Vni: number }];
  place = `ovl-${Vni}`;
  const [shop] = (await two.json('endpoint', 'inspect', 'shop')) as [{ ID: string }];
  port = portLinkOf(shop.ID);
});

test('where nothing differs that is said, and the exit code says it too', async () => {
  const [one] = hosts();
  await until('nothing to differ', async () => (await drift(one)).Drift.length === 0);
  const { code, stdout } = await one.overlayd('drift');
  expect([code, stdout]).toEqual([0, expect.stringContaining('Nothing differs on 3 hosts.')]);
});

/** On `h2`, whose agent puts it back at once. `inside`: of the network's namespace. */
interface Damage {
  readonly does: string;
  readonly inside?: 'network' | 'container';
  readonly told: () => string;
}

const damages: Readonly<Record<string, Damage>> = {
  'a link': { does: 'ip link delete vx0', inside: 'network', told: () => `h2 web ${place} link vx0` },
  'flags of a port': {
    ...{ does: 'bridge link set dev PORT flood on isolated on', inside: 'network' },
    told: () => `h2 web ${place} port flags ${port}`,
  },
  'an address': {
    ...{ does: 'ip address delete 10.20.0.1/24 dev br0', inside: 'network' },
    told: () => `h2 web ${place} address 10.20.0.1/24 dev br0`,
  },
  'a route': {
    ...{ does: 'ip route delete default', inside: 'network' },
    told: () => `h2 web ${place} route default dev up0`,
  },
  'the way from the host': {
    does: 'ip route delete 10.20.0.0/24',
    told: () => `h2 web host route 10.20.0.0/24 dev ovl${place.slice('ovl-'.length)}`,
  },
  'an FDB row': {
    ...{ does: 'bridge fdb delete API dev vx0 dst ONE self', inside: 'network' },
    told: () => `h2 web ${place} FDB row API dev vx0`,
  },
  'a neighbour': {
    ...{ does: 'ip neighbour delete 10.20.0.2 dev vx0', inside: 'network' },
    told: () => `h2 web ${place} neighbour 10.20.0.2 dev vx0`,
  },
  'a table': {
    ...{ does: 'nft delete table bridge overlayd', inside: 'network' },
    told: () => `h2 web ${place} table table bridge overlayd`,
  },
  'the table of the host, published ports and all': {
    does: 'nft delete table inet overlayd',
    told: () => 'h2 - host table table inet overlayd',
  },
  'forwarding of the host': {
    does: 'sysctl -qw net.ipv4.ip_forward=0',
    told: () => 'h2 - host setting net.ipv4.ip_forward',
  },
  'the address of a container': {
    ...{ does: 'ip address flush dev eth0', inside: 'container' },
    told: () => 'h2 web netns:b address 10.20.0.3/24 dev eth0',
  },
};

test.each(Object.entries(damages))('%s that is undone is named on another host', async (_, { does, inside, told }) => {
  const [one, two, three] = hosts();
  const before = await observeKernel(two);
  const [api] = (await one.json('endpoint', 'inspect', 'api')) as [{ MacAddress: string }];
  const words = (text: string) => text.replace('PORT', port).replace('API', api.MacAddress).replace('ONE', one.address);
  const at = { network: ['ip', 'netns', 'exec', place], container: ['ip', 'netns', 'exec', 'b'], host: [] };
  await two.must([...at[inside ?? 'host'], 'sh', '-ec', words(does)]);
  await until(`${words(told())} to be told`, async () => {
    const { Drift, PutBack } = await drift(three);
    const all = [...Drift, ...PutBack].map(short);
    if (all.includes(words(told()))) return true;
    throw new Error(all.join('\n'));
  });
  await until('it to be as before', async () => (await observeKernel(two)) === before);
});

test("a name server's file that differs is told, why it is wanted too, and put right by --repair from another host", async () => {
  const [one, two, three] = hosts();
  const file = '/etc/netns/b/resolv.conf';
  const before = await two.must(['cat', file]);
  await two.must(['sh', '-c', `sed 's/10.20.0.1/10.20.0.66/' ${file} >/run/x && cat /run/x >${file}`]);
  const found = await drift(three);
  expect(found.code).toBe(1);
  expect(found.Drift).toMatchObject([{ Node: 'h2', Kind: 'resolver', Object: file, State: 'wrong' }]);
  expect(found.Drift[0]!.Why).toContain('shop');
  expect(await two.must(['cat', file])).not.toBe(before);
  const repaired = await drift(one, '--repair');
  expect([repaired.code, repaired.Drift, repaired.Repaired.map(short)]).toEqual([
    0,
    [],
    [`h2 web host resolver ${file}`],
  ]);
  expect(await two.must(['cat', file])).toBe(before);
});

test('what the kernel does not let be put right stays told with the cause, and ends with it', async () => {
  const [one, two, three] = hosts();
  await two.must(['mkfifo', '/run/end']);
  const taken = 'delete table bridge overlayd; table bridge overlayd { flags owner; }';
  // The table is the process's own: nobody else may change it.
  const owner = two.spawn([
    'ip',
    'netns',
    'exec',
    place,
    'sh',
    '-c',
    `(echo '${taken}'; read -r _ </run/end) | nft -i`,
  ]);
  const differs = await until('it to be told on another host', async () => {
    const { Drift } = await drift(one, '--network', 'web');
    return Drift.find(({ Node, Hindered }) => Node === 'h2' && Hindered !== '');
  });
  expect(differs).toMatchObject({ Network: 'web', Place: place, Why: 'who may send what on web' });
  expect(differs.Hindered).toContain('not permitted');
  expect((await drift(three, '--repair', '--node', 'h2')).code).toBe(1);
  await two.must(['sh', '-c', 'echo >/run/end']);
  await owner.exited;
  const repaired = await until('it to be put right', async () => {
    const found = await drift(three, '--repair', '--node', 'h2');
    return found.code === 0 && found;
  });
  expect(repaired.Hosts.map(({ Node }) => Node)).toEqual(['h2']);
});

test('what is undone again and again is a finding', async () => {
  const [one, two] = hosts();
  for (let round = 0; round < 3; round++) {
    await two.must(['ip', '-n', place, 'neigh', 'flush', 'dev', 'vx0', 'nud', 'permanent']);
    await until(
      'it to be back',
      async () => (await two.must(['ip', '-n', place, 'neigh', 'show', 'nud', 'permanent'])) !== '',
    );
  }
  // The kernel has it before that is counted.
  const returns = await until('it to be found', async () => {
    const { Findings } = (await two.json('status')) as { Findings: { Code: string; Message: string }[] };
    return Findings.find(({ Code }) => Code === 'drift-returns');
  });
  expect(returns.Message).toMatch(/was put back \d+ times/);
  const { PutBack } = await drift(one);
  expect(PutBack.some(({ Node, Times, Kind }) => Node === 'h2' && Kind === 'neighbour' && Times >= 3)).toBe(true);
});

test('a host that does not answer is named, and the others are told', async () => {
  const [one, two] = hosts();
  await two.agent.freeze();
  const { code, Hosts } = await drift(one);
  expect(code).toBe(1);
  expect(Hosts.filter(({ Answered }) => !Answered)).toMatchObject([
    { Node: 'h2', Reason: expect.stringMatching(/answer|reached/) },
  ]);
  expect(Hosts.filter(({ Answered }) => Answered).map(({ Node }) => Node)).toEqual(['h1', 'h3']);
  await two.agent.thaw();
  await until('it to answer again', async () => (await drift(one)).Hosts.every(({ Answered }) => Answered));
});
