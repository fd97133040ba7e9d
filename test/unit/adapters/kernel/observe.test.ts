import { expect, test } from 'vitest';
import { createKernel } from '../../../../src/adapters/kernel/kernel.ts';
import { type LookedAt, observe, probe } from '../../../../src/adapters/kernel/observe.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';

const NAME = 'ovl-4096';
const SCOPE = { host: false, networks: [NAME], containers: [], ports: [] };

/** Tools that say what the test lets them. */
function tools() {
  const neighbour = (mac: string) => `[{"dst":"10.0.0.5","dev":"vx0","lladdr":"${mac}","state":["PERMANENT"]}]`;
  const said = {
    ip: `[]\n[]\n[]\n${neighbour('02:42:0a:00:00:05')}\n[]\n`,
    bridge: '[{"mac":"02:42:0a:00:00:05","ifname":"vx0","dst":"10.77.0.2","flags":["self"],"state":"permanent"}]\n',
    nft: '{"nftables":[{"table":{"family":"bridge","name":"overlayd","handle":1}}]}',
  };
  const run = async (argv: readonly string[]) => {
    const tool = argv.find((word): word is keyof typeof said => word in said)!;
    return { code: 0, stdout: said[tool], stderr: '' };
  };
  const deps = { run, lookedAt: new Map<string, LookedAt>(), isAlive: async () => true };
  const look = async () => (await observe(deps, SCOPE, undefined)).networks.get(NAME)!;
  return { said, run, deps, look, neighbour };
}

test('what is as it was the last time is not read again', async () => {
  const { look } = tools();
  const first = await look();
  expect(first.neighbours).toEqual([{ link: 'vx0', address: '10.0.0.5', mac: '02:42:0a:00:00:05' }]);
  const again = await look();
  expect(again).toEqual(first);
  expect(again.neighbours).toBe(first.neighbours);
  expect(again.fdb).toBe(first.fdb);
});

test('what any of the tools says otherwise is read', async () => {
  const { said, deps, look, neighbour } = tools();
  const first = await look();
  said.ip = said.ip.replace(neighbour('02:42:0a:00:00:05'), neighbour('02:42:0a:00:00:99'));
  expect((await look()).neighbours[0]!.mac).toBe('02:42:0a:00:00:99');
  expect((await look()).fdb).toBe(first.fdb);
  said.bridge = said.bridge.replace('10.77.0.2', '10.77.0.9');
  expect((await look()).fdb[0]!.vtep).toBe('10.77.0.9');
  expect(await probe(deps, [NAME], undefined)).toEqual([]);
  said.nft = '';
  expect(await probe(deps, [NAME], undefined)).toEqual([NAME]);
  expect((await look()).filter).toBe(undefined);
  expect(await probe(deps, [NAME], undefined)).toEqual([]);
});

test.each([
  ['ip', ''],
  ['ip', '[]\n[]\n[]\n[]\n'],
  ['ip', '[]\n[]\n[]\n[]\n[]'],
  ['bridge', ''],
  ['bridge', '[{"mac":"02:42'],
] as const)('output of %s that is cut short is an error, and no empty namespace: %j', async (tool, output) => {
  const { said, look } = tools();
  said[tool] = output;
  await expect(look()).rejects.toMatchObject({ code: 'data-path-failed', message: expect.stringContaining('/run') });
});

test('of a namespace that is deleted nothing is kept', async () => {
  const { run } = tools();
  const follow = async function* () {};
  const kernel = createKernel({ exec: { run, follow }, clock: new VirtualClock(), isAlive: async () => true });
  await kernel.observe(SCOPE);
  expect(await kernel.probe([NAME])).toEqual([]);
  const op = { kind: 'delete-namespace', name: NAME } as const;
  const planned = { network: NAME, endpointId: undefined, reason: 'remove', op } as const;
  await kernel.apply({ stages: [{ essential: false, ops: [planned] }], gone: [] });
  expect(await kernel.probe([NAME])).toEqual([NAME]);
});
