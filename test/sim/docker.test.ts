/** Containers of Docker engines and their endpoints; `docker-chaos.test.ts` mixes it all. */
import { beforeEach, describe, expect, it } from 'vitest';
import { SERVICE_ADDRESS } from '../../src/core/host-state.ts';
import { useEngines } from './engine-story.ts';
import type { SimulatedHost } from './simulated-cluster.ts';

const { hosts, now, until, pass, create, run, claims, addresses, routes } = useEngines();
let one: SimulatedHost;
let two: SimulatedHost;

beforeEach(() => {
  [one, two] = hosts();
});

describe('names of containers', () => {
  const names = () => claims().map(({ name, aliases }) => [name, ...aliases]);

  it('are what the engine calls them, and their aliases', async () => {
    await create('web');
    const networks = { web: { aliases: ['db', 'DB', 'not valid', 'a.b'] } };
    const { id } = await until(one.engine.run('shop_db', { networks, hostname: 'pg' }));
    await pass(1_000);
    expect(names()).toEqual([['shop_db', 'db', 'a.b', id.slice(0, 12), 'pg']]);
    expect(two.running.view.endpoint(claims()[0]!)?.name).toBe('shop_db');
  });

  it('follow a rename, also one that happens while the agent is away', async () => {
    await create('web');
    const { id } = await run(one, 'api', { web: {} });
    await until(one.engine.renameContainer('api', 'shop'));
    await pass(1_000);
    expect(names()).toEqual([['shop', id.slice(0, 12)]]);
    await one.crash();
    await until(one.engine.renameContainer('shop', 'store'));
    await one.start();
    await pass(2_000);
    expect(names()).toEqual([['store', id.slice(0, 12)]]);
  });

  it('are learnt once etcd can keep them', async () => {
    await create('web');
    await run(one, 'api', { web: {} });
    one.store.cut();
    await until(one.engine.renameContainer('api', 'shop'));
    await pass(20_000);
    one.store.heal();
    await pass(10_000);
    expect(names()[0]?.[0]).toBe('shop');
  });
});

describe('ports of containers', () => {
  const ports = () => claims().map((record) => record.ports);

  it('are those that they expose, and nothing is kept of those that expose none', async () => {
    await create('web');
    const exposed = [{ port: 8080, protocol: 'tcp', name: 'http' }];
    await until(one.engine.run('api', { networks: { web: {} }, ports: exposed }));
    await run(one, 'db', { web: {} });
    await pass(1_000);
    expect(ports()).toEqual([exposed, undefined]);
    expect(two.running.view.endpoint(claims()[0]!)?.ports).toEqual(exposed);
    expect(claims().map((record) => 'ports' in record)).toEqual([true, false]);
  });

  it('stay over a rename', async () => {
    await create('web');
    const exposed = [{ port: 53, protocol: 'udp', name: 'domain' }];
    await until(one.engine.run('api', { networks: { web: {} }, ports: exposed }));
    await until(one.engine.renameContainer('api', 'shop'));
    await pass(1_000);
    expect(claims()).toMatchObject([{ name: 'shop', ports: exposed }]);
  });
});

describe('addresses', () => {
  beforeEach(async () => {
    await create('web');
  });

  it('are those that were asked for, or refused with who has them', async () => {
    await run(one, 'api', { web: { ip: '10.0.0.77' } });
    await pass(1_000);
    await expect(run(two, 'db', { web: { ip: '10.0.0.77' } })).rejects.toThrow(
      'address already in use: 10.0.0.77 belongs to api on h1',
    );
    expect(addresses()).toEqual(['10.0.0.77']);
  });

  it('are with the MAC that was asked for', async () => {
    await run(one, 'api', { web: { mac: '02:42:aa:bb:cc:dd' } });
    expect(claims()[0]?.mac).toBe('02:42:aa:bb:cc:dd');
    await expect(run(one, 'db', { web: { mac: '02:42:aa:bb:cc:dd' } })).rejects.toThrow('02:42:aa:bb:cc:dd');
    await pass(1_000);
    expect(addresses()).toEqual(['10.0.0.2']);
  });

  it('are new after a restart, and the old ones are released', async () => {
    const { id } = await run(one, 'api', { web: {} });
    await until(one.engine.stopContainer('api'));
    expect(addresses()).toEqual([]);
    await until(one.engine.startContainer(id));
    expect(addresses()).toEqual(['10.0.0.3']);
  });

  it('that no endpoint came for are released', async () => {
    const held = one.line.hold('createEndpoint');
    void one.engine.run('api', { networks: { web: {} } }).catch(() => undefined);
    await until(held.reached);
    expect(addresses()).toEqual(['10.0.0.2']);
    one.engine.kill();
    await pass(120_000);
    expect(addresses()).toEqual([]);
    void one.engine.start();
  });

  it.each([0, 150, 5_000])(
    'given before a restart of the agent are good for the endpoint that comes %i ms after it',
    async (ms) => {
      const held = one.line.hold('createEndpoint');
      const running = one.engine.run('api', { networks: { web: {} } });
      await until(held.reached);
      await one.crash();
      await pass(1_000);
      await one.start();
      await pass(ms);
      held.release();
      const { attachments } = await until(running);
      expect(attachments.get('web')?.endpoint?.address).toBe('10.0.0.2/24');
    },
  );

  it('of networks that nobody may attach to are not given', async () => {
    await create('closed', { attachable: false });
    await expect(run(one, 'api', { closed: {} })).rejects.toThrow('not manually attachable');
  });
});

describe('containers', () => {
  beforeEach(async () => {
    await create('web');
    await create('db');
  });

  it('have a way to the service address in whichever network is left to them', async () => {
    const container = await run(one, 'api', { web: {}, db: {} });
    expect(routes(one, container)).toEqual([`${SERVICE_ADDRESS}/32`, 'default', '169.254.53.52/31']);
    await until(one.engine.disconnectAs('web', 'api'));
    expect(routes(one, container)).toEqual(['169.254.53.52/31']);
    await until(one.engine.connectAs('web', 'api'));
    expect(routes(one, container)).toContain(`${SERVICE_ADDRESS}/32`);
  });

  it('have one on however many networks they are, whichever they leave', async () => {
    const names = Array.from({ length: 14 }, (_, index) => `n${index}`);
    for (const name of names) await create(name);
    const networks = Object.fromEntries(names.map((name) => [name, {}]));
    const container = await until(one.engine.run('api', { networks, publishesPorts: true }));
    await pass(2_000);
    const left = [...names];
    while (left.length > 0) {
      expect(routes(one, container)).toHaveLength(left.length);
      expect(routes(one, container)).toContain(left.length > 5 ? '169.254.53.0/24' : `${SERVICE_ADDRESS}/32`);
      await until(one.engine.disconnectAs(left.shift()!, 'api'));
    }
  });

  it('that publish ports leave the way out to the engine', async () => {
    const container = await until(one.engine.run('api', { networks: { web: {} }, publishesPorts: true }));
    expect(routes(one, container)).toEqual([`${SERVICE_ADDRESS}/32`]);
  });

  it('keep their endpoints while the agent is away, and while it comes back', async () => {
    await run(one, 'api', { web: {}, db: {} });
    await run(two, 'peer', { web: {} });
    await pass(5_000);
    await one.crash();
    const { writes } = one.kernel;
    await pass(20_000);
    await one.start();
    await pass(30_000);
    expect(one.kernel.writes).toBe(writes);
  });

  it('that end while the agent is away are released when it is back', async () => {
    await run(one, 'api', { web: {} });
    await run(one, 'gone', { web: {} });
    await pass(1_000);
    await one.crash();
    one.engine.crashContainer('api');
    await until(one.engine.removeContainer('gone'));
    await pass(60_000);
    expect(addresses()).toHaveLength(2);
    await one.start();
    await pass(5_000);
    expect(addresses()).toEqual([]);
  });

  it('that end while agent and engine are away are released when both are back', async () => {
    await run(one, 'api', { web: {} });
    await pass(1_000);
    one.engine.kill();
    await one.crash();
    one.engine.crashContainer('api');
    void one.engine.start();
    await pass(60_000);
    await one.start();
    await pass(5_000);
    expect(addresses()).toEqual([]);
  });

  it('go on while their engine is dead, and are released by what the next one finds', async () => {
    await run(one, 'api', { web: {} });
    await run(one, 'job', { web: {}, db: {} });
    await pass(1_000);
    one.engine.kill();
    await pass(60_000);
    expect(addresses()).toHaveLength(3);
    void one.engine.start();
    await pass(5_000);
    expect(addresses()).toEqual([]);
  });

  it('that outlive their engine keep all they have', async () => {
    one.engine.liveRestore = true;
    await run(one, 'api', { web: {}, db: {} });
    await pass(5_000);
    const before = claims();
    const { writes } = one.kernel;
    one.engine.kill();
    await pass(60_000);
    void one.engine.start();
    await pass(200_000);
    expect(claims()).toEqual(before);
    expect(one.kernel.writes).toBe(writes);
  });

  it('whose making the engine did not survive leave nothing', async () => {
    const held = one.line.hold('join');
    void one.engine.run('api', { networks: { web: {} } }).catch(() => undefined);
    await until(held.reached);
    one.engine.kill();
    void one.engine.start();
    await pass(5_000);
    expect(addresses()).toEqual([]);
  });

  it('whose endpoint was still being made when the engine died leave nothing', async () => {
    const held = one.line.hold('createEndpoint');
    void one.engine.run('api', { networks: { web: { mac: '02:42:aa:bb:cc:dd' } } }).catch(() => undefined);
    await until(held.reached);
    held.release();
    // The MAC has to be written to etcd first, which does not answer at once.
    one.store.loseReplies();
    await pass(1_000);
    one.engine.kill();
    void one.engine.start();
    await pass(200_000);
    expect(addresses()).toEqual([]);
  });

  it('start on a host that comes up before etcd does', async () => {
    const { id } = await run(one, 'api', { web: {} });
    await one.reboot();
    one.store.cut();
    await one.start();
    void one.engine.start();
    await pass(1_000);
    const started = one.engine.startContainer(id);
    await pass(6_000);
    one.store.heal();
    await until(started);
    await pass(5_000);
    // Which of them is free depends on when the claims are undone of which etcd said nothing.
    expect(addresses()).toHaveLength(1);
  });

  it('are refused in time when etcd stays away', async () => {
    one.store.cut();
    const before = now();
    await expect(run(one, 'api', { web: {} })).rejects.toThrow('etcd does not answer');
    expect(now() - before).toBeLessThan(14_000);
    one.store.heal();
    await pass(5_000);
    expect(addresses()).toEqual([]);
  });

  it('end without waiting for etcd one after the other', async () => {
    const names = ['first', 'second', 'third', 'fourth', 'fifth'];
    for (const name of names) await run(one, name, { web: {} });
    await pass(1_000);
    one.store.cut();
    const before = now();
    for (const name of names) await until(one.engine.stopContainer(name));
    expect(now() - before).toBeLessThan(5_000);
    one.store.heal();
    await pass(10_000);
    expect(addresses()).toEqual([]);
  });

  it('are released when their host lost power', async () => {
    await run(one, 'api', { web: {} });
    await one.reboot();
    await one.start();
    void one.engine.start();
    await pass(10_000);
    expect(addresses()).toEqual([]);
  });

  it('wait for their link, which is made at the second attempt', async () => {
    one.kernel.failNext((op) => op.kind === 'add-veth' && op.end.name.startsWith('ovc'));
    const container = await run(one, 'api', { web: {} });
    expect(routes(one, container)).toContain('default');
  });

  it('do not start when it cannot be made, and leave nothing', async () => {
    one.kernel.failNext((op) => op.kind === 'add-veth' && op.end.name.startsWith('ovc'), 2);
    await expect(run(one, 'api', { web: {} })).rejects.toThrow('made to fail');
    expect(addresses()).toEqual([]);
  });

  it('get their link anew when somebody deletes its port', async () => {
    const container = await run(one, 'api', { web: {} });
    await pass(1_000);
    const [port] = [...one.kernel.machine.snapshot('ovl-4096')!.links.keys()].filter((name) => name.startsWith('e'));
    one.kernel.interfere({ kind: 'delete-link', at: 'ovl-4096', name: port! });
    expect(routes(one, container)).toEqual([]);
    await pass(1_000);
    expect(routes(one, container)).toContain(`${SERVICE_ADDRESS}/32`);
  });
});
