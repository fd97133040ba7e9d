/** Instances of Incus are on the networks that their configuration names, through restarts of either side. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Attachments } from '../../src/agent/attachments/attachments.ts';
import { IncusSide } from '../../src/agent/incus/incus-side.ts';
import { OverlaydError } from '../../src/core/errors.ts';
import { formatInstance } from '../../src/core/incus/owner.ts';
import type { Incus, IncusInstance } from '../../src/ports/incus.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import { hostContainers } from './host-containers.ts';
import { checkQuiet } from './invariants.ts';
import { SimulatedCluster, type SimulatedHost, silent } from './simulated-cluster.ts';

interface Instance {
  readonly project: string;
  readonly name: string;
  kind: IncusInstance['kind'];
  /** `netns:…` of the simulated host, while it runs. */
  container: string | undefined;
  readonly own: Map<string, string>;
  readonly inherited: Map<string, string>;
}

/** Incus in memory: it keeps keys as it is told, and says that something has changed. */
class MemoryIncus implements Incus {
  readonly all: Instance[] = [];
  isAway = false;
  refusesKeys = false;
  #wake = () => {};

  add(name: string, inherited: Record<string, string> = {}): Instance {
    const instance: Instance = {
      ...{ project: 'default', name, kind: 'container', container: undefined },
      ...{ own: new Map(), inherited: new Map(Object.entries(inherited)) },
    };
    this.all.push(instance);
    return instance;
  }

  tell(): void {
    this.#wake();
  }

  async instances() {
    if (this.isAway) throw new OverlaydError('engine-unavailable', 'Incus cannot be reached', { retryable: true });
    return this.all.map(shown);
  }

  async instance(name: Pick<Instance, 'project' | 'name'>) {
    return shown(this.#find(name));
  }

  async setWish(name: Pick<Instance, 'project' | 'name'>, network: string, text: string | undefined) {
    if (this.refusesKeys) throw new OverlaydError('engine-refused', 'Incus refused');
    if (text === undefined) this.#find(name).own.delete(network);
    else this.#find(name).own.set(network, text);
    this.tell();
  }

  async *changes(signal: AbortSignal) {
    signal.addEventListener('abort', () => this.#wake());
    while (!signal.aborted) {
      yield;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #find(name: Pick<Instance, 'project' | 'name'>): Instance {
    const found = this.all.find((each) => formatInstance(each) === formatInstance(name));
    if (!found) throw new OverlaydError('namespace-not-found', 'no such instance');
    return found;
  }
}

function shown({ project, name, kind, container, own, inherited }: Instance): IncusInstance {
  return { project, name, kind, isRunning: container !== undefined, wishes: new Map([...inherited, ...own]) };
}

let cluster: SimulatedCluster;
let one: SimulatedHost;
let incus: MemoryIncus;
let side: IncusSide;
let quit: AbortController;

/** An agent's side of Incus, as it starts. */
function begin(): void {
  quit = new AbortController();
  const containers = hostContainers(one);
  side = new IncusSide({
    attachments: new Attachments({ member: () => one.running, containers }),
    ...{ incus, containers, clock: cluster.clock, logger: silent },
    member: () => one.member,
  });
  void side.run(quit.signal);
}

/** Starts it, in a container that is new. */
function start(instance: Instance): void {
  instance.container = one.addContainer();
  one.named.set(`incus:${instance.name}`, instance.container);
  incus.tell();
}

function stop(instance: Instance): void {
  if (instance.container) one.killContainer(instance.container);
  instance.container = undefined;
}

function running(name: string, inherited: Record<string, string> = {}): Instance {
  const instance = incus.add(name, inherited);
  start(instance);
  return instance;
}

beforeEach(async () => {
  cluster = new SimulatedCluster({ seed: 1 });
  await cluster.start(2);
  one = cluster.hosts[0]!;
  incus = new MemoryIncus();
  await cluster.clock.until(one.running.networks.create(networkRequest('web')));
  await pass();
});
afterEach(async () => {
  quit.abort();
  await cluster.stop();
});

const pass = (ms = 1_000) => cluster.clock.advance(ms);
const connected = () => one.running.local.all().map(({ record, container }) => `${container.text} ${record.name}`);

it('joins when its key says so, as it runs, and leaves when the key goes', async () => {
  begin();
  const db = running('db');
  incus.tell();
  await pass();
  expect(connected()).toEqual([]);
  await incus.setWish(db, 'web', 'alias=sql ip=10.0.0.9');
  await pass();
  expect(one.running.local.all()[0]!.record).toMatchObject({
    ...{ name: 'db', aliases: ['sql'], tool: 'incus', addresses: [{ ip: '10.0.0.9' }] },
  });
  await incus.setWish(db, 'web', undefined);
  await pass();
  expect(connected()).toEqual([]);
  await checkQuiet(cluster);
});

it('is there again after a restart of the instance, of Incus and of the agent, without anybody asking', async () => {
  begin();
  const db = running('db', { web: 'ip=10.0.0.9' });
  incus.tell();
  await pass();
  stop(db);
  start(db);
  await pass();
  expect(one.running.local.all()).toMatchObject([{ record: { addresses: [{ ip: '10.0.0.9' }] } }]);
  expect(one.running.local.all()[0]!.container.path).toContain(db.container!.split(':')[1]);
  // An agent that starts finds it as it was.
  const { id } = one.running.local.all()[0]!.record;
  quit.abort();
  await cluster.clock.until(one.crash());
  await cluster.clock.until(one.start());
  begin();
  await pass();
  expect(one.running.local.all().map(({ record }) => record.id)).toEqual([id]);
  await checkQuiet(cluster);
});

it('stays while Incus does not answer, and goes when it says that the instance has stopped', async () => {
  begin();
  const db = running('db', { web: 'yes' });
  incus.tell();
  await pass();
  incus.isAway = true;
  incus.tell();
  await pass();
  expect(side.problems.join()).toContain('Incus cannot be reached');
  expect(connected()).toEqual(['incus:db db']);
  incus.isAway = false;
  await pass(40_000);
  expect(side.problems).toEqual([]);
  stop(db);
  incus.tell();
  await pass();
  expect(connected()).toEqual([]);
});

it('waits for a network that is made later, and says so meanwhile', async () => {
  begin();
  running('db', { lan: 'yes', web: 'speed=fast' });
  incus.tell();
  await pass();
  expect(side.problems.toSorted()).toEqual([
    expect.stringContaining('incus:db is not on network lan: '),
    expect.stringContaining('user.overlayd.web of incus:db: '),
  ]);
  await cluster.clock.until(one.running.networks.create(networkRequest('lan')));
  await pass(40_000);
  expect(connected()).toEqual(['incus:db db']);
  expect(side.problems).toEqual([expect.stringContaining('"speed=fast" means nothing here')]);
});

const request = { network: 'web', container: 'incus:db', aliases: ['sql'] };

it('is connected by the command once, and its key keeps it', async () => {
  begin();
  const db = running('db');
  const connection = await cluster.clock.until(side.connect(request, 'db'));
  expect(connection!.endpoint.record).toMatchObject({ name: 'db', aliases: ['sql'], tool: 'incus' });
  expect([...db.own]).toEqual([['web', 'alias=sql']]);
  await pass();
  expect(one.running.local.all().map(({ record }) => record.id)).toEqual([connection!.endpoint.record.id]);
  await expect(cluster.clock.until(side.connect(request, 'db'))).rejects.toThrow(
    /already: .*user.overlayd.web: alias=sql/,
  );
  const { id } = one.running.view.networks()[Symbol.iterator]().next().value!;
  const found = side.find(id, 'incus:db')!;
  expect(side.find(id, 'db')).toBe(found);
  await cluster.clock.until(side.disconnect(found, 'web'));
  expect([...db.own.keys()]).toEqual([]);
  expect(connected()).toEqual([]);
});

it('joins later when it does not run', async () => {
  begin();
  const db = incus.add('db');
  expect(await cluster.clock.until(side.connect(request, 'db'))).toBeUndefined();
  start(db);
  await pass();
  expect(connected()).toEqual(['incus:db db']);
});

it('is on no network whose key could not be written', async () => {
  begin();
  running('db');
  incus.refusesKeys = true;
  await expect(cluster.clock.until(side.connect(request, 'db'))).rejects.toThrow('Incus refused');
  expect(connected()).toEqual([]);
});

it('leaves a profile’s network by a key of its own', async () => {
  begin();
  const db = running('db', { web: 'yes' });
  incus.tell();
  await pass();
  const [endpoint] = one.running.local.all();
  await cluster.clock.until(side.disconnect(endpoint!, 'web'));
  expect([...db.own]).toEqual([['web', 'no']]);
  await pass();
  expect(connected()).toEqual([]);
});

it('refuses a virtual machine, and what no key holds', async () => {
  begin();
  running('db').kind = 'virtual-machine';
  await expect(cluster.clock.until(side.connect(request, 'db'))).rejects.toThrow('virtual machine');
  await expect(cluster.clock.until(side.connect({ ...request, labels: { a: 'b' } }, 'db'))).rejects.toThrow('--label');
});
