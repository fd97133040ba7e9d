/** Properties of planning, over random states of a strict kernel in memory. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isHandedOver } from '../../../../src/core/container.ts';
import { desired } from '../../../../src/core/desired.ts';
import { HOST, type Observed, type Op, type Plan, TUNNEL } from '../../../../src/core/host-state.ts';
import { plan } from '../../../../src/core/plan.ts';
import { type EndpointRecord, hasAddress } from '../../../../src/core/records.ts';
import { ALL_ZEROS } from '../../../../src/core/row-table.ts';
import { World } from '../../../contract/kernel-world.ts';
import { FakeKernel } from '../../../sim/fake-kernel.ts';

const VNIS = [4096, 4097, 4098];
const NODES = ['h2', 'h3', 'h4'];

/** Endpoints come more often than they go. */
const EVENTS = [
  ...(['attach', 'attach', 'attach', 'attach', 'remote', 'remote', 'remote'] as const),
  ...(['offer', 'offer', 'take', 'take', 'service'] as const),
  ...(['detach', 'move', 'leave', 'node', 'narrow', 'port', 'die'] as const),
];

/** One thing that happens to the cluster, chosen by small numbers. */
const event = fc.record({
  what: fc.constantFrom(...EVENTS),
  network: fc.nat({ max: VNIS.length - 1 }),
  host: fc.nat({ max: NODES.length - 1 }),
  address: fc.integer({ min: 2, max: 8 }),
});
type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** Something else than overlayd that happens to the kernel. */
const drift = fc.record({
  what: fc.constantFrom(
    'link',
    'fdb',
    'neighbour',
    'route',
    'address',
    'filter',
    'master',
    'namespace',
    'extra',
    'impostor',
  ),
  network: fc.nat({ max: VNIS.length - 1 }),
  which: fc.nat({ max: 20 }),
});
type Drift = typeof drift extends fc.Arbitrary<infer T> ? T : never;

function makeWorld(): World {
  const world = new World('h1');
  world.addNode('h1', '10.77.0.1');
  for (const [index, id] of NODES.entries()) world.addNode(id, `10.77.0.${index + 2}`);
  for (const [index, vni] of VNIS.entries()) {
    const [internal, multicast] = [index === 2, index === 1];
    const options: Record<string, string> = multicast ? { multicast: 'true' } : {};
    world.addNetwork(`n${index}`, { vni, cidr: `10.0.${index}.0/24`, gateway: `10.0.${index}.1`, internal, options });
  }
  return world;
}

function happen(world: World, kernel: FakeKernel, { what, network: index, host, address }: Event): void {
  const network = [...world.networkRecords.values()][index]!;
  const text = `10.0.${index}.${address}`;
  const holder = [...world.endpointRecords.values()].find(
    (each) => each.networkId === network.id && hasAddress(each, text),
  );
  const nodeId = NODES[host]!;
  if (what === 'attach' && !holder) {
    const path = `/run/netns/c${address}`;
    const ref = { text: path, path, identity: path };
    if (!kernel.hasContainer(path)) kernel.addContainer(path);
    world.addLocal(network, text, ref, { ifname: `eth${index}` });
  }
  if (what === 'offer' && !holder) world.addHandedOver(network, text);
  if (what === 'take' && holder) take(world, kernel, holder, `eth${index}`);
  if (what === 'service') world.serviceAddress = !world.serviceAddress;
  if (what === 'remote' && !holder) world.addRemote(network, nodeId, text);
  if (what === 'detach' && holder) world.remove(holder.id);
  if (what === 'move' && holder && holder.nodeId !== 'h1') {
    world.endpointRecords.set(holder.id, { ...holder, nodeId });
  }
  if (what === 'leave') world.nodeRecords.delete(nodeId);
  if (what === 'node') world.addNode(nodeId, `10.77.0.${host + 2}`, { dataPathPort: address === 2 ? 4790 : 4789 });
  if (what === 'narrow') world.addNode('h1', '10.77.0.1', { underlayMtu: 1400 + address });
  if (what === 'port') world.addNode('h1', '10.77.0.1', { dataPathPort: 4789 + (address % 2) });
  if (what === 'die') kernel.killContainer(`/run/netns/c${address}`);
}

/** The engine takes the link, if it is there by now, into the container of that address, and the agent learns of it. */
function take(world: World, kernel: FakeKernel, { id, addresses }: EndpointRecord, ifname: string): void {
  const endpoint = world.local.get(id);
  if (!endpoint || !isHandedOver(endpoint.container)) return;
  if (!kernel.machine.snapshot(HOST)!.links.has(endpoint.ifname)) return;
  const address = addresses[0]!.ip;
  const path = `/run/netns/c${address.split('.')[3]}`;
  if (!kernel.hasContainer(path)) kernel.addContainer(path);
  if (kernel.machine.snapshot(path)!.links.has(ifname)) return;
  kernel.takeOver(endpoint.ifname, path, { ifname, cidr: `${address}/24` });
  world.learn(endpoint, { text: path, path, identity: path }, ifname);
}

function interfere(kernel: FakeKernel, { what, network, which }: Drift): void {
  const at = `ovl-${VNIS[network]}`;
  const state = kernel.machine.snapshot(at);
  if (!state) return;
  const pick = <T>(all: readonly T[]): T | undefined => all[which % Math.max(1, all.length)];
  const links = [...state.links.values()].filter(({ name }) => name !== 'lo');
  const link = pick(links);
  const extra = { link: TUNNEL, address: `10.0.${network}.200`, mac: '02:42:00:00:00:01' };
  const ops: (Op | false | undefined)[] = {
    link: [link && ({ kind: 'delete-link', at, name: link.name } as const)],
    master: [
      link?.kind === 'bridge' && ({ kind: 'delete-link', at, name: link.name } as const),
      link?.kind === 'veth' && ({ kind: 'set-link', at, name: link.name, set: { mac: '0e:00:00:00:00:99' } } as const),
    ],
    fdb: state.fdb.length > 0 ? [{ kind: 'delete-fdb', at, row: pick(state.fdb)! } as const] : [],
    neighbour: pick(state.neighbours)
      ? [{ kind: 'delete-neighbour', at, neighbour: pick(state.neighbours)! } as const]
      : [],
    route: pick(state.routes) ? [{ kind: 'delete-route', at, route: pick(state.routes)! } as const] : [],
    address: pick(state.addresses) ? [{ kind: 'delete-address', at, address: pick(state.addresses)! } as const] : [],
    filter: [
      { kind: 'delete-filter', at, family: 'bridge' } as const,
      which % 2 === 0 && ({ kind: 'delete-filter', at: HOST, family: 'inet' } as const),
    ],
    // Something of another kind has taken the name.
    impostor: link
      ? [
          { kind: 'delete-link', at, name: link.name } as const,
          { kind: 'add-bridge', at, name: link.name, mac: '02:00:00:00:00:01', mtu: 1500 } as const,
        ]
      : [],
    namespace: [{ kind: 'delete-namespace', name: at } as const],
    extra:
      state.links.get(TUNNEL)?.kind === 'vxlan'
        ? [
            { kind: 'set-neighbour', at, neighbour: extra } as const,
            { kind: 'set-fdb', at, row: { link: TUNNEL, mac: extra.mac, vtep: '10.77.0.99' } } as const,
            { kind: 'set-fdb', at, row: { link: TUNNEL, mac: ALL_ZEROS, vtep: '10.77.0.99' } } as const,
            state.links.get(TUNNEL)?.master !== undefined &&
              ({ kind: 'set-fdb', at, row: { link: TUNNEL, mac: extra.mac } } as const),
          ]
        : [],
  }[what];
  for (const op of ops) if (op) kernel.interfere(op);
}

async function look(world: World, kernel: FakeKernel): Promise<Observed> {
  const { networks } = wanted(world);
  const ports = networks.flatMap(({ namespace, ports: all }) =>
    all.map(({ link, endpoint }) => ({ namespace, link, container: endpoint.container })),
  );
  const containers = ports.map(({ container }) => container);
  return kernel.observe({ host: true, networks: VNIS.map((vni) => `ovl-${vni}`), containers, ports });
}

function wanted(world: World) {
  const { self, serviceAddress } = world;
  return desired({ view: world, self, local: [...world.local.values()], serviceAddress });
}

async function think(world: World, kernel: FakeKernel): Promise<Plan> {
  return plan(wanted(world), await look(world, kernel), { provesAbsence: world.isWhole });
}

/** One pass as the reconciler makes it: what is gone with its container is released. Returns how much that was. */
async function pass(world: World, kernel: FakeKernel): Promise<number> {
  const planned = await think(world, kernel);
  const { failures } = await kernel.apply(planned);
  expect(failures.map(({ error }) => error.message)).toEqual([]);
  for (const { record } of planned.gone) world.remove(record.id);
  return planned.gone.length;
}

/** Passes until nothing is gone any more. */
async function settle(world: World, kernel: FakeKernel): Promise<void> {
  for (let passes = 0; (await pass(world, kernel)) > 0; passes++) expect(passes).toBeLessThan(3);
}

describe('a host that begins to forward IPv6', () => {
  const keysOf = (world: World, advertised: readonly string[], forwarding6: boolean) => {
    const host = { ...new FakeKernel().machine.hostSnapshot(), advertised, forwarding6 };
    const observed = { namespaces: new Map(), host, networks: new Map(), containers: new Map() };
    const ops = plan(wanted(world), observed, { provesAbsence: true }).stages.flatMap((stage) => stage.ops);
    return ops.flatMap(({ op }) => (op.kind === 'set-sysctl' && op.at === HOST ? [`${op.key}=${op.value}`] : []));
  };
  const makeNetwork = (cidr: string, gateway: string): World => {
    const world = new World('h1');
    world.addNode('h1', '10.77.0.1');
    const network = world.addNetwork('web', { vni: 4096, cidr, gateway });
    world.addLocal(network, cidr.replace(/0?\/.*/, '2'), new FakeKernel().addContainer('c1'));
    return world;
  };

  it('has its links go on to listen to routers before it does', () => {
    const world = makeNetwork('fd00::/64', 'fd00::1');
    expect(keysOf(world, ['eth0', 'eth0.5'], false)).toEqual([
      'net.ipv4.ip_forward=1',
      'net/ipv6/conf/eth0/accept_ra=2',
      'net/ipv6/conf/eth0.5/accept_ra=2',
      'net.ipv6.conf.all.forwarding=1',
    ]);
    expect(keysOf(world, ['eth0'], true)).toEqual(['net.ipv4.ip_forward=1']);
  });

  it('does so for a network of IPv6 alone', () => {
    expect(keysOf(makeNetwork('10.0.0.0/24', '10.0.0.1'), ['eth0'], false)).toEqual(['net.ipv4.ip_forward=1']);
  });
});

describe('planning', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: event },
    { weight: 1, arbitrary: drift.map((each) => ({ drift: each })) },
  );
  const history = fc.array(step, { minLength: 20, maxLength: 50, size: 'max' });

  it('leaves nothing to do after one pass, whatever the state was', async () => {
    await fc.assert(
      fc.asyncProperty(
        history,
        fc.array(fc.nat({ max: 49 }), { minLength: 1, maxLength: 6 }),
        async (steps, passesAfter) => {
          const world = makeWorld();
          const kernel = new FakeKernel();
          for (const [index, step] of steps.entries()) {
            if ('drift' in step) interfere(kernel, step.drift);
            else happen(world, kernel, step);
            if (passesAfter.includes(index)) await pass(world, kernel);
          }
          let passes = 0;
          while ((await pass(world, kernel)) > 0) expect(++passes).toBeLessThan(2);
          expect((await think(world, kernel)).stages).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('reaches the same state whichever way it came', async () => {
    await fc.assert(
      fc.asyncProperty(history, async (steps) => {
        const world = makeWorld();
        const kernel = new FakeKernel();
        for (const step of steps) {
          if ('drift' in step) interfere(kernel, step.drift);
          else happen(world, kernel, step);
          await pass(world, kernel);
        }
        await settle(world, kernel);
        const fresh = new FakeKernel();
        for (const { container } of world.local.values()) {
          if (!fresh.hasContainer(container.path)) fresh.addContainer(container.path);
        }
        await settle(world, fresh);
        for (const vni of VNIS) expect(contentsOf(kernel, `ovl-${vni}`)).toEqual(contentsOf(fresh, `ovl-${vni}`));
        expect(contentsOf(kernel, HOST)).toEqual(contentsOf(fresh, HOST));
      }),
      { numRuns: 150 },
    );
  });

  it('takes nothing away while the view is not whole', async () => {
    await fc.assert(
      fc.asyncProperty(history, fc.array(event, { minLength: 5, maxLength: 20 }), async (before, after) => {
        const world = makeWorld();
        const kernel = new FakeKernel();
        for (const step of before) {
          if ('drift' in step) interfere(kernel, step.drift);
          else happen(world, kernel, step);
        }
        await pass(world, kernel);
        world.isWhole = false;
        for (const step of after) if (step.what !== 'narrow') happen(world, kernel, step);
        const observed = await look(world, kernel);
        const planned = plan(wanted(world), observed, { provesAbsence: false });
        const ops = planned.stages.flatMap((stage) => stage.ops.map(({ op }) => op));
        expect(ops.filter(({ kind }) => kind.startsWith('delete-') || kind.startsWith('remove-'))).toEqual([]);
        for (const op of ops) {
          if (op.kind !== 'set-filter') continue;
          const seen = op.at === HOST ? observed.host : observed.networks.get(op.at);
          for (const set of seen?.filter?.sets ?? []) {
            const elements = op.filter.sets.find(({ name }) => name === set.name)!.elements;
            expect([...set.elements].filter((element) => !elements.has(element))).toEqual([]);
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});

/** A namespace without what depends on the order of its making. */
function contentsOf(kernel: FakeKernel, place: string) {
  const state = place === HOST ? kernel.machine.hostSnapshot() : kernel.machine.snapshot(place);
  if (!state) return undefined;
  const sorted = (rows: readonly object[]) => rows.map((row) => JSON.stringify(row)).sort();
  return {
    // What is on once stays on in the host, and an empty filter as well as none keeps out what is not asked for.
    forwarding: place === HOST || state.forwarding,
    links: [...state.links.values()]
      .map(({ index, peerIndex, ...link }) => link)
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    addresses: sorted(state.addresses),
    routes: sorted(state.routes),
    neighbours: sorted(state.neighbours),
    fdb: sorted(state.fdb),
    filter: state.filter,
  };
}
