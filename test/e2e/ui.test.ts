import { readdir, readFile, stat } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterState, Walk } from '../../src/core/page/contract.ts';
import type { Host, HostProcess } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { type SocketTunnel, tunnelTo } from '../lab/tunnel.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';
import { openPage, startBrowser } from '../page/browser.ts';

const SOCKET = '/run/overlayd/ui.sock';
const lab = useLab({ hosts: 3, cluster: true });
const hosts = () => lab().hosts as [Host, Host, Host];
let browser: Browser;
let serving: HostProcess;
let tunnel: SocketTunnel;

beforeAll(async () => {
  browser = await startBrowser();
  const [one] = hosts();
  serving = one.spawn(['overlayd', 'ui', '--listen', `unix:${SOCKET}`]);
  await until('the page to be served', () => serving.output.includes(SOCKET));
  tunnel = await tunnelTo(one, SOCKET);
});
afterAll(async () => {
  await browser?.close();
  tunnel?.close();
  await serving?.kill();
});

/** Without the prefix that listings may show. */
const addressOf = (text: string) => text.split('/')[0]!;

async function open(where: string): Promise<Page> {
  const { page } = await openPage(browser, `${tunnel.url}${where}`);
  page.setDefaultTimeout(120_000);
  return page;
}

test('the socket is its owner’s alone', async () => {
  const { mode } = await stat(hosts()[0].path(SOCKET));
  expect(mode & 0o777).toBe(0o600);
});

test('names and containers have the processors before the page', async () => {
  const tasks = `/proc/${await serving.pid()}/task`;
  const stats = await Promise.all(
    (await readdir(tasks)).map((thread) => readFile(`${tasks}/${thread}/stat`, 'utf8').catch(() => undefined)),
  );
  // proc_pid_stat(5): field 19; the name before it may have blanks.
  const niceOf = (stat: string) => Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16]);
  const seen = stats.flatMap((stat) => (stat === undefined ? [] : [niceOf(stat)]));
  expect(seen.length).toBeGreaterThan(1);
  expect(new Set(seen)).toEqual(new Set([10]));
});

test('the page follows what commands on other hosts do', async () => {
  const [one, two, three] = hosts();
  const page = await open('/#/networks');
  await page.getByText('There is no network yet').waitFor();
  await two.mustOverlayd('network', 'create', '--subnet', '10.20.0.0/24', 'web');
  await page.getByRole('grid', { name: 'Networks' }).getByText('web', { exact: true }).click();
  const detail = page.getByRole('complementary', { name: 'web' });
  await attach(two, 'a', 'web', '--name', 'api');
  await attach(three, 'b', 'web', '--name', 'shop', '--alias', 'store');
  await detail.getByRole('heading', { name: '2 endpoints on 2 hosts' }).waitFor();
  const found = await one.json('endpoint', 'ls');
  const table = detail.getByRole('grid');
  for (const { Name, IPv4Address } of found as { Name: string; IPv4Address: string }[]) {
    expect(IPv4Address).toMatch(/^10\.20\.0\.\d+/);
    await table
      .getByRole('row')
      .filter({ hasText: Name })
      .filter({ hasText: addressOf(IPv4Address) })
      .waitFor();
  }
  await two.mustOverlayd('network', 'disconnect', 'web', 'netns:a');
  await detail.getByRole('heading', { name: '1 endpoint on 1 host' }).waitFor();

  await page.context().close();
});

/** As the doctor says it. */
const WITHOUT_PORT = /no packet .* h3 by the data path \(VXLAN, 4789\/udp.*open 4789\/udp/;

test('why one endpoint does not reach another is found on the hosts of both, by name', async () => {
  const [one, two, three] = hosts();
  await attach(two, 'c', 'web', '--name', 'near');
  await attach(three, 'd', 'web', '--name', 'far');
  await untilReaches(two, 'c', 'far');
  const page = await open('/#/reach');
  for (const [label, name] of [
    ['From', 'near'],
    ['To', 'far'],
  ] as const) {
    await page.getByRole('combobox', { name: label, exact: true }).fill(name);
    await page.getByRole('option').filter({ hasText: name }).first().waitFor();
    await page.keyboard.press('Enter');
  }
  const walk = page.getByRole('button', { name: 'Walk' });
  await walk.click();
  await page.getByText('Nothing stands between them.').waitFor();
  const steps = (await page.getByRole('listitem').allTextContents()).join('\n');
  expect(steps).toMatch(/container.*h2.*netns:c, by eth0/);
  expect(steps).toMatch(/names.*h2.*far is 10\.20\.0\.\d+/);
  expect(steps).toMatch(/data path.*h2.*to h3: round trip/);
  expect(steps).toMatch(/kernel.*h3.*as they should be/);

  const filter = 'add table inet wall; add chain inet wall in { type filter hook input priority -300; }; ';
  await three.must(['nft', `${filter}add rule inet wall in udp dport 4789 drop`]);
  await until('the walk to say so', async () => {
    await walk.click();
    await page.getByText(/things? (is|are) wrong/).waitFor();
    return (await page.getByRole('listitem').allTextContents()).some((text) => WITHOUT_PORT.test(text));
  });
  await three.must(['nft', 'delete table inet wall']);

  await page.getByRole('link', { name: 'Names' }).click();
  await page.getByRole('combobox', { name: 'Host', exact: true }).selectOption('h3');
  await page.getByRole('textbox', { name: 'Name' }).fill('near.web');
  await page.keyboard.press('Enter');
  await page.getByText('NOERROR from 10.20.0.1:53').waitFor();
  const [near] = (await one.json('endpoint', 'ls')).filter(({ Name }: { Name: string }) => Name === 'near');
  await page.getByRole('cell', { name: addressOf(near.IPv4Address) }).waitFor();
  await page.getByRole('link', { name: 'Drift' }).click();
  await page.getByText('0 differences on 3 hosts').waitFor();
  await page.context().close();
});

interface Wrong {
  readonly name: string;
  readonly host: string;
  readonly detail: string;
}

/** What the walk names as wrong between two endpoints; `NAME` or `NAME NETWORK`. */
async function wrongBetween(...words: readonly [from: string, to: string]): Promise<readonly Wrong[]> {
  const state = (await (await fetch(`${tunnel.url}/api/state`)).json()) as ClusterState;
  const [from, to] = words.map((text) => {
    const [name, on] = text.split(' ');
    const network = state.networks.find((each) => each.name === on)?.id;
    return state.endpoints.find((each) => each.name === name && (network ?? each.network) === each.network)?.id;
  });
  const asked = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ from, to }) };
  const { steps } = (await (await fetch(`${tunnel.url}/api/reach`, asked)).json()) as Walk;
  const wrong = steps.filter(({ outcome }) => outcome === 'problem');
  // Hosts are asked so often alone.
  if (wrong.some(({ detail }) => detail.includes('ask again in a moment'))) throw new Error('asked too often');
  return wrong;
}

/** The walk names that step, alone. */
async function untilWrong(
  between: readonly [string, string],
  name: string,
  host: string,
  detail: RegExp,
): Promise<void> {
  let last: readonly Wrong[] = [];
  await until(`the walk to name ${name}`, async () => {
    last = await wrongBetween(...between);
    return last.some((each) => each.name === name && each.host === host && detail.test(each.detail));
  }).catch((error: Error) => {
    throw new Error(`${error.message}; it says ${JSON.stringify(last)}`);
  });
  // A packet takes the whole way, and a name what it needs of it.
  expect(last.map((each) => each.name).filter((each) => each !== name && each !== 'packet')).toEqual([]);
}

const untilWell = (...between: readonly [string, string]) =>
  until('nothing to stand between', async () => (await wrongBetween(...between)).length === 0);
const wall = (rule: string, hook = 'input') =>
  `add table inet wall; add chain inet wall w { type filter hook ${hook} priority -300; }; add rule inet wall w ${rule} drop`;

test('of faults within a container the walk names the container, its names and its packets', async () => {
  const [, two, three] = hosts();
  await two.mustExec('c', ['nft', wall('udp dport 53', 'output')]);
  await untilWrong(
    ['near', 'far'],
    'names',
    'h2',
    /far: 10\.20\.0\.1, port 53: a packet filter inside of the container drops/,
  );
  await two.mustExec('c', ['nft', 'delete table inet wall']);
  await untilWell('near', 'far');
  await three.mustExec('d', ['nft', wall('udp dport 33434')]);
  await untilWrong(['near', 'far'], 'packet', 'h2', /nothing comes back; .* within the two containers/);
  await three.mustExec('d', ['nft', 'delete table inet wall']);

  const process = three.spawn(['unshare', '--net', 'sleep', 'infinity']);
  const pid = await until(
    'the process',
    async () => (await three.run(['pgrep', '-x', 'sleep'])).stdout.trim() || undefined,
  );
  await three.mustOverlayd('network', 'connect', '--name', 'still', 'web', `pid:${pid}`);
  await until('all to know it', async () => (await wrongBetween('near', 'still')).length === 0);
  await three.must(['kill', '-STOP', pid]);
  await untilWrong(['near', 'still'], 'container', 'h3', /still: pid:\d+, by eth0: its process is stopped/);
  await three.must(['kill', '-KILL', pid]);
  // nsenter was stopped with it, and does not go on.
  process.drop();
});

test('of faults between hosts the walk names the path, what of it, and what mends it', async () => {
  const [, , three] = hosts();
  await three.must(['nft', wall('udp dport 4789 meta length > 1300')]);
  await untilWrong(['near', 'far'], 'data path', 'h2', /packets of \d+ bytes do not pass .* smaller MTU/);
  await three.must(['nft', 'delete table inet wall']);
  await untilWell('near', 'far');
});

test('of an encrypted network the walk names the tunnel', async () => {
  const [, two, three] = hosts();
  await two.mustOverlayd('network', 'create', '-o', 'encrypted', 'secret');
  await attach(two, 'e', 'secret', '--name', 'near');
  await attach(three, 'f', 'secret', '--name', 'far');
  await untilWell('near secret', 'far secret');
  const between =
    /networks do not reach each other; a (near|far) of the same host is on (web|secret) too: choose that one/;
  await untilWrong(['near web', 'far secret'], 'same network', '', between);
  await three.must(['nft', wall('udp dport { 51840, 51841 }')]);
  await untilWrong(['near secret', 'far secret'], 'data path', 'h2', /WireGuard|tunnel|handshake/);
  await untilWell('near web', 'far web');
  await three.must(['nft', 'delete table inet wall']);
  await two.mustOverlayd('network', 'disconnect', 'secret', 'netns:e');
  await three.mustOverlayd('network', 'disconnect', 'secret', 'netns:f');
  await two.mustOverlayd('network', 'rm', 'secret');
});

test('counts are those of the command', async () => {
  const [one] = hosts();
  const state = (await (await fetch(`${tunnel.url}/api/state`)).json()) as ClusterState;
  const [web] = state.networks;
  const [inspected] = await one.json('network', 'inspect', 'web');
  expect({ ...web!.subnets[0], total: web!.subnets[0]!.total }).toMatchObject({
    cidr: '10.20.0.0/24',
    used: inspected.Addresses.Used,
    free: inspected.Addresses.Free,
    reserved: inspected.Addresses.Reserved,
    quarantined: inspected.Addresses.Quarantined,
  });
  expect(state.hosts.map(({ name }) => name).sort()).toEqual(['h1', 'h2', 'h3']);
});

test('where no agent answers there is no page, and off loopback no page without a login', async () => {
  const [one, two] = hosts();
  const refused = await one.overlayd('ui', '--no-login', '--listen', '0.0.0.0:7980');
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--no-login is for loopback alone')]);
  const none = await one.overlayd('--run-dir', '/run/nobody', 'ui');
  expect(none.code).toBe(69);
  const open = one.spawn(['overlayd', 'ui', '--listen', `${one.address}:7980`]);
  const link = await until('the link', () => /http:\S+#login=\S+/.exec(open.output)?.[0]);
  expect(link).toContain(`http://${one.address}:7980/#login=`);
  const status = async (path: string) =>
    two.must([
      'node',
      '-e',
      `fetch(${JSON.stringify(`http://${one.address}:7980${path}`)}).then((r) => console.log(r.status))`,
    ]);
  expect((await status('/')).trim()).toBe('200');
  expect((await status('/api/state')).trim()).toBe('401');
  await open.kill();
});

test('a host that falls silent is shown as such, and what was there stays', async () => {
  const [, , three] = hosts();
  const page = await open('/');
  await page.getByRole('link', { name: 'Hosts' }).click();
  const tile = page.getByRole('option').filter({ hasText: three.name });
  await tile.filter({ hasText: 'ready' }).filter({ hasText: 'MTU 1450' }).waitFor();
  await three.powerOff();
  await tile.filter({ hasText: 'down' }).waitFor({ timeout: 120_000 });
  const wrong = await wrongBetween('near', 'far');
  expect(wrong).toContainEqual({
    name: 'host',
    host: 'h3',
    outcome: 'problem',
    detail: 'it is down: members do not hear it',
  });
  // Rows of before stay: nothing says that they are gone.
  await page.getByRole('link', { name: 'Endpoints' }).click();
  await page.getByRole('grid').getByText('shop', { exact: true }).waitFor();
  await page.context().close();
});
