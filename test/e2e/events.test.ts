import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

interface ShownEvent {
  readonly Time: string;
  readonly Node: string;
  readonly Type: string;
  readonly Fields: Readonly<Record<string, unknown>>;
}

const lab = useLab({ hosts: 3, cluster: true });
const hosts = () => lab().hosts as [Host, Host, Host];
const eventsAt = async (host: Host, ...options: readonly string[]): Promise<ShownEvent[]> =>
  host.json('events', ...options);

/** Once one of that type is shown there, with these fields. */
function untilTold(host: Host, type: string, fields: Partial<ShownEvent['Fields']> & { Node?: string } = {}) {
  const { Node, ...wanted } = fields;
  return until(`${host.name} to tell of ${type} ${JSON.stringify(fields)}`, async () => {
    const found = (await eventsAt(host, '--filter', `type=${type}`)).find(
      (event) =>
        (Node === undefined || event.Node === Node) &&
        Object.entries(wanted).every(([name, value]) => String(event.Fields[name]) === String(value)),
    );
    if (found) return found;
    throw new Error('none');
  });
}

test('joins, with the token of each, are told on every host', async () => {
  const [one, , three] = hosts();
  const [token] = (await one.json('token', 'ls')) as { ID: string }[];
  for (const name of ['h2', 'h3']) {
    const admitted = await untilTold(three, 'join-admitted', { name, tokenId: token!.ID });
    expect(admitted.Node).toBe('h1');
    expect(String(admitted.Fields.from)).toContain(name === 'h2' ? hosts()[1].address : three.address);
  }
  expect((await untilTold(three, 'token-created', { tokenId: token!.ID })).Fields.by).toBe('h1');
});

test('a refused join is told with its cause, and no token is in any event', async () => {
  const [one, two, three] = hosts();
  const token = await one.mustOverlayd('token', 'create', '-q', '--node', 'h9');
  const [, , id] = token.split('-').slice(1);
  await one.mustOverlayd('token', 'revoke', id!);
  await untilTold(two, 'token-revoked', { tokenId: id, by: 'h1', Node: 'h1' });
  // A host of the cluster has no place for another one: what is left of it would join again.
  await three.mustOverlayd('leave', '--force');
  await untilTold(one, 'member-left', { member: 'h3' });
  expect((await three.overlayd('join', '--token', token, `${one.address}:2377`)).code).toBe(1);
  const refused = await untilTold(two, 'join-refused', { tokenId: id, Node: 'h1' });
  expect(refused.Fields).toMatchObject({ code: 'token-invalid', name: 'h3' });
  const again = await one.mustOverlayd('token', 'create', '-q');
  await three.mustOverlayd('join', '--token', again, `${one.address}:2377`);
  // What comes soon after another one is written half a second later.
  const kept = await until('it to be kept', async () => {
    const text = await readFile(`${one.dataDirectory}/events.jsonl`, 'utf8');
    return text.includes('join-refused') && text;
  });
  expect(kept).not.toContain('OVLTKN');
});

test('networks, attachments and repairs are told, by network and by host, in the order of time', async () => {
  const [one, two, three] = hosts();
  await one.mustOverlayd('network', 'create', '--attachable', '--subnet', '10.20.0.0/24', 'web');
  await attach(one, 'a', 'web', '--name', 'api');
  await attach(two, 'b', 'web', '--name', 'shop');
  await untilReaches(two, 'b', 'api');
  const vni = (await one.json('network', 'inspect', 'web'))[0].Vni as number;
  await two.must(['ip', '-n', `ovl-${vni}`, 'neigh', 'flush', 'dev', 'vx0', 'nud', 'permanent']);
  await untilTold(three, 'kernel-repaired', { network: 'web', Node: 'h2' });
  const containers = (await three.json('ps', '--filter', 'network=web')) as {
    Name: string;
    Node: string;
    Tool: string;
  }[];
  expect(containers.map(({ Name, Node, Tool }) => [Name, Node, Tool])).toEqual([
    ['api', 'h1', 'netns'],
    ['shop', 'h2', 'netns'],
  ]);
  await two.mustOverlayd('network', 'disconnect', 'web', 'netns:b');
  await untilTold(one, 'endpoint-detached', { endpoint: 'shop', Node: 'h2' });
  await untilTold(three, 'endpoint-detached', { endpoint: 'shop', Node: 'h2' });
  const told = (await eventsAt(three, '--filter', 'network=web')).map(({ Node, Type }) => `${Node} ${Type}`);
  const inOrder = told.filter((line) => !line.includes('kernel-repaired'));
  expect(inOrder).toEqual([
    'h1 network-created',
    'h1 endpoint-attached',
    'h2 endpoint-attached',
    'h2 endpoint-detached',
  ]);
  const ofTwo = await eventsAt(one, '--filter', 'node=h2', '--filter', 'type=endpoint');
  expect(ofTwo.map(({ Fields }) => Fields.endpoint)).toEqual(['shop', 'shop']);
  expect(await one.mustOverlayd('events', '--local', '--filter', 'type=endpoint-*')).toMatch(
    /^\S+Z h1 endpoint-attached endpoint connected endpoint=api network=web address=10\.20\.0\.2\S* container=netns:a$/,
  );
});

test('whoever follows hears what happens elsewhere', async () => {
  const [one, two] = hosts();
  const following = one.spawn(['overlayd', 'events', '--follow', '--format', 'json', '--filter', 'type=network']);
  // It has begun once what is made later is heard: again and again, until one is.
  let nth = 0;
  await until('a network made on h2 to be heard on h1', async () => {
    await two.mustOverlayd('network', 'create', `n${nth++}`);
    if (following.output !== '') return true;
    throw new Error('nothing heard');
  });
  const heard = following.output
    .trim()
    .split('\n')
    .map((line): ShownEvent => JSON.parse(line));
  expect(heard[0]).toMatchObject({ Node: 'h2', Type: 'network-created' });
  await following.kill('SIGINT');
  await following.exited;
});

test('they outlast a crash of the agent; a host that is away is named, and is no failure', async () => {
  const [one, two, three] = hosts();
  await two.agent.kill();
  const { code, stdout, stderr } = await one.overlayd('events', '--filter', 'type=endpoint');
  expect([code, stderr]).toEqual([0, expect.stringMatching(/^warning: without the events of h2: /m)]);
  expect([stdout.includes('api'), stdout.includes('shop')]).toEqual([true, false]);
  await until('h3 to tell that h1 misses h2', async () => {
    const told = await eventsAt(three, '--filter', 'type=member-*');
    // Whoever is slow to look finds it down already.
    const isLoss = ({ Type }: ShownEvent) => Type === 'member-suspected' || Type === 'member-down';
    return told.some((event) => isLoss(event) && event.Node === 'h1' && event.Fields.member === 'h2');
  });
  await until('h3 to miss it too', async () => (await three.json('node', 'inspect', 'h2'))[0].State !== 'ready');
  await two.agent.start();
  await untilTold(three, 'endpoint-attached', { endpoint: 'shop', Node: 'h2' });
  await untilTold(one, 'member-back', { member: 'h2', Node: 'h3' });
  const starts = await eventsAt(two, '--local', '--filter', 'type=agent-*');
  expect(starts.map(({ Type }) => Type)).toEqual(['agent-started', 'agent-started']);
});
