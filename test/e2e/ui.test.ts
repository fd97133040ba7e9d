import { stat } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ClusterState } from '../../src/core/page/contract.ts';
import type { Host, HostProcess } from '../lab/host.ts';
import { attach } from '../lab/network.ts';
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

async function open(where: string): Promise<Page> {
  const { page } = await openPage(browser, `${tunnel.url}${where}`);
  page.setDefaultTimeout(120_000);
  return page;
}

test('the socket is its owner’s alone', async () => {
  const { mode } = await stat(hosts()[0].path(SOCKET));
  expect(mode & 0o777).toBe(0o600);
});

test('the page follows what commands on other hosts do, and a host that falls silent', async () => {
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
  for (const { Name, Address } of found as { Name: string; Address: string }[]) {
    await table.getByRole('row').filter({ hasText: Name }).filter({ hasText: Address }).waitFor();
  }
  await two.mustOverlayd('network', 'disconnect', 'web', 'netns:a');
  await detail.getByRole('heading', { name: '1 endpoint on 1 host' }).waitFor();

  await page.getByRole('link', { name: 'Hosts' }).click();
  const tile = page.getByRole('option').filter({ hasText: three.name });
  await tile.filter({ hasText: 'ready' }).filter({ hasText: 'MTU 1450' }).waitFor();
  await three.powerOff();
  await tile.filter({ hasText: 'down' }).waitFor({ timeout: 120_000 });
  // Rows of before stay: nothing says that they are gone.
  await page.getByRole('link', { name: 'Endpoints' }).click();
  await page.getByRole('grid').getByText('shop').waitFor();
  await page.context().close();
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
