import { expect, test } from 'vitest';
import { untilEncryptable, untilFlawless } from '../lab/cluster.ts';
import { addIpv6, UNDERLAY_IPV6 } from '../lab/dual-stack.ts';
import { call, startEchoing } from '../lab/echoing.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({
  hosts: 3,
  cluster: true,
  prepare: async (made) => {
    await addIpv6(made);
    const one = made.host(1);
    await one.mustOverlayd('network', 'create', '--ipv6', 'web');
    await untilEncryptable(one);
    await one.mustOverlayd('network', 'create', '-o', 'encrypted', '--internal', 'vault');
    await attach(one, 'here', 'web');
    await attach(made.host(2), 'far', 'web');
    await attach(made.host(2), 'safe', 'vault');
    await startEchoing(made.host(2), 'far', 80);
    await startEchoing(made.host(2), 'safe', 80);
  },
});
const one = () => lab().host(1);
const two = () => lab().host(2);
const three = () => lab().host(3);

const addresses: Record<string, readonly string[]> = {};
const first = (network: string) => addresses[network]![0]!;
const far = async (name: string): Promise<string> =>
  (await one().json('endpoint', 'ls')).find((row: { Name: string }) => row.Name === name).Addresses[0].Address;

test('a host has an address and a name on a network, plain or encrypted, with a way out or without', async () => {
  for (const network of ['web', 'vault']) {
    const { code, stdout, stderr } = await one().overlayd('network', 'expose', '--alias', 'gate', network);
    expect(code).toBe(0);
    expect(stderr).toContain(`server=/${network}.overlayd.internal/`);
    addresses[network] = stdout.trim().split('\n');
    const name = network === 'web' ? 'far' : 'safe';
    await until(
      `${name} to see the host`,
      async () => (await call(one(), 'tcp', await far(name), 80)) === first(network),
    );
    await untilReaches(two(), name, 'h1');
    await untilReaches(two(), name, 'gate');
  }
  expect(addresses.web).toHaveLength(2);
  await untilReaches(one(), 'here', 'h1');
});

test('it finds names where the network answers them', async () => {
  const [network] = JSON.parse(await one().mustOverlayd('network', 'inspect', 'web'));
  const gateway = network.IPAM.Config[0].Gateway;
  const ask = (name: string) => one().must(['dig', '+short', `@${gateway}`, name]);
  expect((await ask('far.web.overlayd.internal')).trim()).toBe(await far('far'));
  expect((await ask('h1')).trim()).toBe(first('web'));
  // Of its other network as well, as for a container on both.
  expect((await ask('safe.vault.overlayd.internal')).trim()).toBe(await far('safe'));
});

test('it is shown as the host', async () => {
  const rows = await two().json('endpoint', 'ls');
  const own = rows.filter((row: { Tool: string }) => row.Tool === 'host');
  expect(own.map((row: { Name: string; Node: string }) => [row.Name, row.Node])).toEqual([
    ['h1', 'h1'],
    ['h1', 'h1'],
  ]);
  expect(await one().mustOverlayd('ps', '--filter', 'tool=host')).toMatch(/h1 .*host/);
  const [network] = JSON.parse(await two().mustOverlayd('network', 'inspect', 'web'));
  expect(Object.values(network.Containers).map((each) => (each as { Name: string }).Name)).toContain('h1');
});

test('nothing of it differs from what is wanted', async () => {
  const { code, stdout } = await one().overlayd('drift');
  expect([code, stdout]).toEqual([0, expect.any(String)]);
});

test('it is refused where it would not work, and taken back by its own command alone', async () => {
  for (const [asked, why] of [
    [['network', 'expose', '--name', 'other', 'web'], /on network web already, as h1 .*network unexpose web/],
    [['network', 'disconnect', 'web', 'h1'], /is this host itself.*network unexpose web/],
    [['network', 'expose', '--address', '10.0.0.9', '--address', '10.0.0.8', 'web'], /both of IPv4/],
    [['publish', '81:web/h1:80'], /h1 of network web is this host itself/],
  ] as const) {
    const { code, stderr } = await one().overlayd(...asked);
    expect([asked, code, stderr]).toEqual([asked, expect.any(Number), expect.stringMatching(why)]);
    expect(code).not.toBe(0);
  }
  const absent = await three().overlayd('network', 'unexpose', 'web');
  expect([absent.code, absent.stderr]).toEqual([1, expect.stringMatching(/this host has no address on network web/)]);
  await three().must(['ip', 'link', 'add', 'lan0', 'type', 'bridge']);
  await three().must(['ip', 'address', 'add', `${first('web').replace(/\d+$/, '200')}/32`, 'dev', 'lan0']);
  const refused = await three().overlayd('network', 'expose', 'web');
  expect([refused.code, refused.stderr]).toEqual([
    1,
    expect.stringMatching(/this host has the address .* \(lan0\) in it/),
  ]);
  await three().must(['ip', 'link', 'del', 'lan0']);
});

test('a port leads to a container of another host, which sees this one, wherever it moves', async () => {
  const { code, stderr } = await three().overlayd('publish', '8080:web/far:80');
  expect([code, stderr]).toEqual([1, expect.stringMatching(/far of network web runs on h2: .*network expose web/)]);
  expect(await one().mustOverlayd('publish', '8080:web/far:80')).toBe('8080/tcp -> web/far:80');
  await one().mustOverlayd('publish', '8080:web/far:80/udp');
  for (const protocol of ['tcp', 'udp'] as const) {
    expect(await call(three(), protocol, one().address, 8080)).toBe(first('web'));
    expect(await call(one(), protocol, one().address, 8080)).toBe(first('web'));
    expect(await call(one(), protocol, one().address, 8080, 'here')).toBe(first('web'));
    expect(await call(two(), protocol, one().address, 8080, 'far')).toBe(first('web'));
  }
  const [, own6] = addresses.web!;
  expect(await call(three(), 'tcp', `${UNDERLAY_IPV6}1`, 8080)).toBe(own6);
  expect(await call(one(), 'udp', `${UNDERLAY_IPV6}1`, 8080, 'here')).toBe(own6);
  await two().mustOverlayd('network', 'disconnect', 'web', 'netns:far');
  await until('the port to wait', async () => {
    const [row] = await one().json('publish', 'ls');
    return row.WaitsFor === 'no container goes by far';
  });
  await attach(three(), 'moved', 'web', '--name', 'far');
  await startEchoing(three(), 'moved', 80);
  await until(
    'the other host to be called',
    async () => (await call(two(), 'tcp', one().address, 8080)) === first('web'),
  );
  await three().mustOverlayd('network', 'disconnect', 'web', 'netns:moved');
  await attach(one(), 'home', 'web', '--name', 'far');
  await startEchoing(one(), 'home', 80);
  // Here it sees who calls.
  await until(
    'the host itself to be called',
    async () => (await call(two(), 'tcp', one().address, 8080)) === two().address,
  );
  await one().mustOverlayd('publish', 'rm', '8080/tcp');
  await one().mustOverlayd('publish', 'rm', '8080/udp');
});

test('a host that is silent gets nothing, until it is heard again', async () => {
  await attach(two(), 'silent', 'web');
  await startEchoing(two(), 'silent', 80);
  await one().mustOverlayd('publish', '8081:web/silent:80');
  await until('the port to lead there', async () => (await call(three(), 'tcp', one().address, 8081)) === first('web'));
  await two().agent.freeze();
  await until('the port to wait', async () => {
    const [row] = await one().json('publish', 'ls');
    return row.WaitsFor === 'h2, where silent runs, to answer';
  });
  await two().agent.thaw();
  await until('the port to lead there', async () => (await call(three(), 'tcp', one().address, 8081)) === first('web'));
  await one().mustOverlayd('publish', 'rm', '8081');
});

test('it stays over the end of the agent and of the host', async () => {
  await one().agent.kill();
  expect(await call(one(), 'tcp', await safeAddress(), 80)).toBe(first('vault'));
  await one().agent.start();
  await untilFlawless(one());
  expect(await call(one(), 'tcp', await safeAddress(), 80)).toBe(first('vault'));
  const [own] = (await three().mustOverlayd('network', 'expose', 'vault')).split('\n');
  await three().powerOff();
  await three().powerOn();
  await three().agent.start();
  // What is called before the way is there goes by the default route, and is not answered for ten seconds.
  await until(`the host to have ${own} again`, async () =>
    (await three().must(['ip', 'address'])).includes(` ${own}/`),
  );
  await until('the host to be on the network again', async () => {
    const seen = await call(three(), 'tcp', await safeAddress(), 80);
    if (seen === own) return true;
    throw new Error(`it is seen as ${seen}`);
  });
  await three().mustOverlayd('network', 'unexpose', 'vault');
});

const safeAddress = async (): Promise<string> =>
  (await two().json('endpoint', 'ls')).find((row: { Name: string }) => row.Name === 'safe').Addresses[0].Address;

test('it goes when it is taken back, and with the host', async () => {
  await one().mustOverlayd('network', 'unexpose', 'vault');
  expect(await one().must(['ip', '-o', 'address', 'show'])).not.toContain(first('vault'));
  await three().mustOverlayd('network', 'expose', '--address', first('vault').replace(/\d+$/, '77'), 'vault');
  await until('the host to answer', async () => (await call(three(), 'tcp', await safeAddress(), 80)) !== undefined);
  await three().mustOverlayd('leave');
  await until('the others to forget it', async () => {
    const rows = await two().json('endpoint', 'ls');
    return !rows.some((row: { Node: string }) => row.Node === 'h3');
  });
  expect(await three().must(['ip', '-o', 'link', 'show'])).not.toContain('ovl');
});
