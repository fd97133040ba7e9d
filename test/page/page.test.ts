import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { OverlaydError } from '../../src/core/errors.ts';
import { keys } from '../../src/core/records.ts';
import { Drift } from '../../src/gen/overlayd/v1/drift.ts';
import { openPage, startBrowser } from './browser.ts';
import { FakeCluster } from './fake-cluster.ts';
import { type ServedPage, servePage } from './served-page.ts';

let browser: Browser;
let served: ServedPage | undefined;
const opened: { page: Page; complaints: string[] }[] = [];

beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(() => browser?.close());
afterEach(async () => {
  for (const { page, complaints } of opened.splice(0)) {
    await page.context().close();
    expect(complaints).toEqual([]);
  }
  served?.close();
  served = undefined;
});

async function open(cluster: FakeCluster, where = '/', options: Parameters<typeof servePage>[1] = {}): Promise<Page> {
  served = await servePage(cluster, options);
  const made = await openPage(browser, `${served.url}${where}`);
  opened.push(made);
  return made.page;
}

const small = () => new FakeCluster({ hosts: 5, networks: 4, endpoints: 40 });

test('hosts are shown with their paths, as they change', async () => {
  const cluster = small();
  const page = await open(cluster);
  const tiles = page.getByRole('listbox', { name: 'Hosts' }).getByRole('option');
  await tiles.nth(4).waitFor();
  expect(await tiles.count()).toBe(5);
  await page.getByText('host3').click();
  const detail = page.getByRole('complementary', { name: 'host3' });
  await detail.getByText('● passes').waitFor();
  expect(await detail.getByRole('grid', { name: 'Endpoints on host3' }).getByRole('row').count()).toBe(9);
  cluster.setPath(2, { path: 'lost', lossPercent: 100 });
  await detail.getByText('data path lost').waitFor();
  await page.getByRole('button', { name: '1 lost' }).click();
  await tiles.nth(1).waitFor({ state: 'detached' });
  await detail.getByRole('button', { name: 'Look at the way' }).click();
  await detail.getByText('1 host answered').waitFor();
});

test('a network shows how full it is, and its endpoints with their hosts', async () => {
  const cluster = small();
  const page = await open(cluster, '/#/networks');
  const networks = page.getByRole('grid', { name: 'Networks' });
  await networks.getByText('db-2').click();
  const detail = page.getByRole('complementary', { name: 'db-2' });
  await detail.getByText('10.0.2.0/24').first().waitFor();
  await detail.getByRole('heading', { name: '10 endpoints on 5 hosts' }).waitFor();
  expect(await networks.getByText('encrypted').count()).toBe(1);
  const record = cluster.attach(42);
  await detail.getByText(record.name).waitFor();
  cluster.remove(keys.endpoint(record));
  await detail.getByText(record.name).waitFor({ state: 'detached' });
});

test('search finds by name, address and container, by keyboard alone', async () => {
  const cluster = small();
  const page = await open(cluster);
  await page.getByRole('option').first().waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('web-1');
  const hits = page.getByRole('listbox', { name: 'Found' }).getByRole('option');
  await hits.first().waitFor();
  expect(await hits.first().textContent()).toContain('network web-1');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  const table = page.getByRole('grid', { name: 'Endpoints' });
  await table.waitFor();
  expect(await table.getByRole('row').count()).toBeGreaterThan(1);
  const { addresses } = cluster.endpoint(7);
  await page.getByRole('searchbox', { name: 'Filter' }).fill(addresses[0]!.ip);
  await page.getByRole('status').filter({ hasText: '1 found' }).waitFor();
  await page.getByRole('searchbox', { name: 'Filter' }).fill(cluster.endpoint(9).id.slice(0, 12));
  await page.getByRole('status').filter({ hasText: '1 found' }).waitFor();
  await table.getByText('jobs-9', { exact: true }).waitFor();
});

test('ten thousand endpoints of a thousand hosts are walked through by keys, a screen at a time', async () => {
  const page = await open(new FakeCluster({ hosts: 1_000, networks: 50, endpoints: 10_000 }), '/#/endpoints');
  const table = page.getByRole('grid', { name: 'Endpoints' });
  await table.getByRole('row').nth(5).waitFor();
  expect(await table.getAttribute('aria-rowcount')).toBe('10001');
  expect(await table.getByRole('row').count()).toBeLessThan(60);
  await table.focus();
  await page.keyboard.press('End');
  await table.locator('[aria-rowindex="10001"]').waitFor();
  expect(await table.getByRole('row').count()).toBeLessThan(60);
  const active = await table.getAttribute('aria-activedescendant');
  expect(await page.locator(`[id="${active}"]`).getAttribute('aria-rowindex')).toBe('10001');
  await page.keyboard.press('Home');
  await table.locator('[aria-rowindex="2"]').waitFor();
  await page.getByRole('link', { name: 'Hosts' }).click();
  await page.getByRole('option').nth(999).waitFor();
  await page.getByRole('option').first().focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  await page.getByRole('complementary', { name: 'host2' }).waitFor();
});

test('the walk from one endpoint to another names what is wrong between them', async () => {
  const cluster = small();
  const page = await open(cluster, '/#/reach');
  const pick = async (label: string, text: string) => {
    await page.getByRole('combobox', { name: label, exact: true }).fill(text);
    await page.getByRole('option').first().waitFor();
    await page.keyboard.press('Enter');
  };
  const [from, to] = [cluster.endpoint(0), cluster.endpoint(4)];
  await pick('From', from.addresses[0]!.ip);
  await pick('To', `${to.name} api-0`);
  await page.getByRole('button', { name: 'Walk' }).click();
  await page.getByText('Nothing stands between them.').waitFor();
  expect(page.url()).toContain(`from=${from.id.slice(0, 16)}&to=${to.id.slice(0, 16)}`);
  const row = { kind: 'FDB row', object: `${to.mac} dev vx0`, state: 'missing', network: 'api-0', place: 'ovl-4096' };
  cluster.drifts.set(0, [Drift.fromPartial(row)]);
  await page.getByRole('button', { name: 'Walk' }).click();
  await page.getByText('One thing is wrong: kernel (host1).').waitFor();
  const step = page.getByRole('listitem').filter({ hasText: 'problem' });
  expect(await step.textContent()).toContain(`FDB row ${to.mac} dev vx0 is missing`);
});

test('a walk that ends after others were chosen is not shown as theirs', async () => {
  const cluster = small();
  const [from, to] = [cluster.endpoint(0), cluster.endpoint(4)].map(({ id }) => id.slice(0, 16));
  const page = await open(cluster, `/#/reach?from=${from}&to=${to}`);
  let goOn = () => {};
  cluster.holdsUp = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const walk = page.getByRole('button', { name: /^Walk/ });
  await walk.click();
  const answered = page.waitForResponse(/api\/reach/);
  await page.getByRole('button', { name: 'Swap' }).click();
  goOn();
  await (await answered).finished();
  await page.evaluate('new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))');
  expect(await page.getByText('Nothing stands between them.').count()).toBe(0);
  await walk.click();
  await page.getByText('Nothing stands between them.').waitFor();
});

test('a table stays sorted by its column when another one is taken away', async () => {
  const page = await open(small(), '/#/networks');
  await page.getByRole('button', { name: 'Endpoints' }).click();
  await page.getByRole('grid', { name: 'Networks' }).getByText('db-2').click();
  await page.getByRole('complementary', { name: 'db-2' }).waitFor();
  const sorted = page.getByRole('grid', { name: 'Networks' }).locator('[aria-sort]');
  expect(await sorted.allTextContents()).toEqual(['Endpoints ↑']);
});

test('a name is asked for where a container would ask', async () => {
  const cluster = small();
  const page = await open(cluster, '/#/names');
  await page.getByRole('textbox', { name: 'Name' }).fill('api-0');
  await page.keyboard.press('Enter');
  await page.getByRole('cell', { name: '10.128.0.2' }).waitFor();
  await page.getByRole('textbox', { name: 'Name' }).fill('nobody');
  await page.getByRole('button', { name: 'Ask' }).click();
  await page.getByText('NXDOMAIN').waitFor();
});

test('drift of all hosts is shown, and put right where the page may', async () => {
  const cluster = small();
  const row = {
    kind: 'neighbour',
    object: '10.128.0.9 dev vx0',
    state: 'missing',
    network: 'api-0',
    why: 'endpoint x',
  };
  cluster.drifts.set(1, [Drift.fromPartial({ ...row, place: 'ovl-4096', sinceMs: Date.now() - 90_000 })]);
  cluster.silent.add(3);
  const page = await open(cluster, '/#/drift', { writable: true });
  await page.getByText('1 difference on 4 hosts').waitFor();
  await page.getByText('Not asked: host4: it did not answer within 10 s').waitFor();
  const table = page.getByRole('grid', { name: 'What differs' });
  expect(await table.getByRole('row').nth(1).textContent()).toMatch(/^host2api-0missing neighbour 10\.128\.0\.9/);
  await page.getByRole('button', { name: 'Put it right' }).click();
  await page.getByText('1 put right now').waitFor();
  await page.getByText('Every kernel that was looked at holds what it should.').waitFor();
  cluster.happen(1, 'kernel-repaired', 'rows put back', { network: 'api-0' });
  await page.getByText('rows put back').waitFor();
});

test('a page that reads only offers no repair', async () => {
  const page = await open(small(), '/#/drift');
  await page.getByText('0 differences on 5 hosts').waitFor();
  expect(await page.getByRole('button', { name: 'Put it right' }).count()).toBe(0);
  const status = await page.evaluate(
    "fetch('api/repair', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }).then((r) => r.status)",
  );
  expect(status).toBe(404);
  // The browser complains of what is not there.
  opened.at(-1)!.complaints.length = 0;
});

test('events are told as they happen, and asked for while they are shown alone', async () => {
  const cluster = small();
  const page = await open(cluster, '/#/events');
  const events = page.getByRole('grid', { name: 'Events' });
  await events.getByText('agent started').waitFor();
  cluster.happen(1, 'network-created', 'network made', { network: 'web' });
  await events.getByText('network=web').waitFor();
  expect(await events.getByRole('row').nth(1).textContent()).toContain('network-created');
  await page.getByRole('searchbox', { name: 'Filter events' }).fill('host1');
  await events.getByText('network made').waitFor({ state: 'detached' });
});

test('what the agent says is wrong is shown with what mends it, and so is an agent that does not answer', async () => {
  const cluster = small();
  cluster.status.state = 'degraded';
  cluster.status.findings = [
    { code: 'disk-full', subject: '', text: 'the disk is full', mend: 'make room', sinceMs: 1, certain: true },
  ];
  const page = await open(cluster);
  await page.getByText('the disk is full').click();
  await page.getByText('Mend: make room').waitFor();
  cluster.refuses = new OverlaydError('agent-not-running', 'the agent does not answer');
  await page.getByRole('alert').getByText('the agent does not answer').waitFor();
  expect(await page.getByRole('option').count()).toBe(5);
  cluster.refuses = undefined;
  await page.getByRole('alert').getByText('the agent does not answer').waitFor({ state: 'detached' });
});

test('the link logs a browser in, once, and is in no address afterwards', async () => {
  const cluster = small();
  served = await servePage(cluster, { needsLogin: true });
  const link = `${served.url}/#login=${served.login.secret}`;
  const made = await openPage(browser, link);
  await made.page.getByRole('option').first().waitFor();
  expect(made.page.url()).toBe(`${served.url}/`);
  await made.page.reload();
  await made.page.getByRole('option').first().waitFor();
  expect(await made.page.evaluate('document.cookie')).toBe('');
  const other = await openPage(browser, link);
  await other.page.getByText('This page opens with the link').waitFor();
  await other.page.evaluate(`location.hash = 'login=${served.login.secret}'`);
  await other.page.getByRole('option').first().waitFor();
  expect(other.page.url()).toBe(`${served.url}/`);
  await Promise.all([made, other].map(({ page }) => page.context().close()));
  expect(made.complaints).toEqual([]);
});

test('a link that was mangled shows the page all the same', async () => {
  const page = await open(small(), '/#/networks/100%');
  await page.getByRole('grid', { name: 'Networks' }).getByText('db-2').waitFor();
});

test('a small screen, and the dark, hide nothing', async () => {
  const cluster = small();
  served = await servePage(cluster);
  const made = await openPage(browser, `${served.url}/#/networks/api-0`, { dark: true, width: 420, height: 760 });
  opened.push(made);
  const { page } = made;
  await page.getByRole('complementary', { name: 'api-0' }).getByText('10.128.0.0/16').first().scrollIntoViewIfNeeded();
  const wide = await page.evaluate('document.documentElement.scrollWidth > innerWidth');
  expect(wide).toBe(false);
  const paper = await page.evaluate('getComputedStyle(document.body).backgroundColor');
  expect(paper).toBe('rgb(16, 19, 23)');
});
