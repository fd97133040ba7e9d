import { expect, test } from 'vitest';
import { type LookedAt, observe, probe } from '../../../../src/adapters/kernel/observe.ts';

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
  return { said, deps, look, neighbour };
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
