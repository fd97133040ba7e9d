import { expect, test } from 'vitest';
import { type LookedAt, observe } from '../../../../src/adapters/kernel/observe.ts';

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
  const observed = () => observe(deps, SCOPE, undefined);
  const look = async () => (await observed()).networks.get(NAME)!;
  return { said, run, deps, observed, look, neighbour };
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
  const { said, look, neighbour } = tools();
  const first = await look();
  said.ip = said.ip.replace(neighbour('02:42:0a:00:00:05'), neighbour('02:42:0a:00:00:99'));
  expect((await look()).neighbours[0]!.mac).toBe('02:42:0a:00:00:99');
  expect((await look()).fdb).toBe(first.fdb);
  said.bridge = said.bridge.replace('10.77.0.2', '10.77.0.9');
  expect((await look()).fdb[0]!.vtep).toBe('10.77.0.9');
  said.nft = '';
  expect((await look()).filter).toBe(undefined);
});

test.each([
  ['ip', ''],
  ['ip', '[]\n[]\n[]\n[]\n'],
  ['ip', '[]\n[]\n[]\n[]\n[]'],
  ['bridge', ''],
  ['bridge', '[{"mac":"02:42'],
] as const)('output of %s that is cut short is an error, and no empty namespace: %j', async (tool, output) => {
  const { said, observed } = tools();
  said[tool] = output;
  const { networks, unseen } = await observed();
  expect(networks.has(NAME)).toBe(false);
  expect(unseen?.get(NAME)).toMatchObject({ code: 'data-path-failed', message: expect.stringContaining('/run') });
});

test.each(['ip', 'bridge', 'nft'])('a %s that fails in one namespace says nothing of the others', async (broken) => {
  const { deps } = tools();
  const run: typeof deps.run = async (argv) => {
    const here = argv.some((word) => word.endsWith('ovl-7')) && argv.includes(broken);
    return here
      ? { code: 1, stdout: '', stderr: 'Error: Could not process rule: Operation not permitted' }
      : deps.run(argv);
  };
  const scope = { ...SCOPE, networks: [NAME, 'ovl-7'] };
  const { networks, unseen } = await observe({ ...deps, run }, scope, undefined);
  expect([...networks.keys()]).toEqual([NAME]);
  expect([...unseen!.keys()]).toEqual(['ovl-7']);
});

test.each([
  'setting the network namespace "ovl-4096" failed: Invalid argument',
  'Cannot open network namespace "ovl-4096": No such file or directory',
])('where there is no namespace nothing is seen, and nothing is wrong: %s', async (stderr) => {
  const { deps } = tools();
  const run: typeof deps.run = async () => ({ code: 255, stdout: '', stderr });
  const { networks, unseen } = await observe({ ...deps, run }, SCOPE, undefined);
  expect([networks.size, unseen!.size]).toEqual([0, 0]);
});

test('a container that cannot be entered is its own affair; one that is gone is gone', async () => {
  const { deps } = tools();
  const container = { text: 'pid:7', path: '/proc/7/ns/net', identity: '7:1' };
  const stderr = "nsenter: reassociate to namespace 'ns/net' failed: Operation not permitted";
  const run: typeof deps.run = async (argv) =>
    argv[0] === 'nsenter' ? { code: 1, stdout: '', stderr } : deps.run(argv);
  const scope = { ...SCOPE, networks: [], containers: [container] };
  const { containers, unseen } = await observe({ ...deps, run }, scope, undefined);
  expect(containers.size).toBe(0);
  expect(unseen!.get('7:1')).toMatchObject({ message: expect.stringContaining('Operation not permitted') });
  let alive = 2;
  const dying = await observe({ ...deps, run, isAlive: async () => --alive > 0 }, scope, undefined);
  expect(dying.containers.get('7:1')).toBe('gone');
});
