/** The page for who has no mouse, or does not see it: keys, the focus, what a screen reader is told. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { keys } from '../../src/core/records.ts';
import { Drift } from '../../src/gen/overlayd/v1/drift.ts';
import { until } from '../lab/until.ts';
import { openPage, startBrowser } from './browser.ts';
import { FakeCluster } from './fake-cluster.ts';
import { type ServedPage, servePage } from './served-page.ts';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const VIEWS = ['hosts', 'hosts/host3', 'networks', 'networks/db-2', 'endpoints', 'reach', 'names', 'drift', 'events'];

let browser: Browser;
let served: ServedPage;
let cluster: FakeCluster;

beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(() => browser?.close());
afterEach(() => served?.close());

async function open(where: string, options: Parameters<typeof openPage>[2] = {}, size = 40): Promise<Page> {
  cluster = new FakeCluster({ hosts: 5, networks: 4, endpoints: size });
  cluster.setPath(2, { path: 'loses', lossPercent: 24 });
  cluster.setPath(3, { path: 'lost', lossPercent: 100 });
  cluster.status.state = 'degraded';
  const finding = {
    code: 'disk-full',
    subject: '',
    text: 'the disk is full',
    mend: 'make room',
    sinceMs: 1,
    certain: true,
  };
  cluster.status.findings = [finding];
  const row = { kind: 'link', object: 'vx0', state: 'missing', network: 'api-0', place: 'ovl-4096', why: 'wanted' };
  cluster.drifts.set(1, [Drift.fromPartial(row)]);
  served = await servePage(cluster, { writable: true });
  const { page } = await openPage(browser, `${served.url}/#/${where}`, options);
  await page.locator('.tile, .row, .fields').first().waitFor();
  return page;
}

/** What axe-core finds against WCAG 2.2 AA and good practice, as lines. */
async function complaintsOf(page: Page): Promise<readonly string[]> {
  await page.evaluate(AXE);
  return page.evaluate(`axe.run({ resultTypes: ['violations'] }).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ html, any }) => id + ': ' + html.slice(0, 200) + ' ' + (any[0]?.message ?? ''))))`);
}

/** Role, where it has one, and what it is called. */
const focused = (page: Page): Promise<string> =>
  page.evaluate(
    "(({ role, tagName, ariaLabel, textContent }) => (role ?? tagName) + ' ' + (ariaLabel ?? textContent))(document.activeElement)",
  );

for (const [name, options] of [
  ['light', {}],
  ['dark', { dark: true }],
  ['narrow', { width: 420, height: 760 }],
] as const) {
  test(`no view has anything that axe-core complains of: ${name}`, async () => {
    const page = await open(VIEWS[0]!, options);
    const found: string[] = [];
    for (const view of VIEWS) {
      await page.evaluate(`location.hash = '/${view}'`);
      await page.locator('main h1').waitFor();
      if (view === 'drift') await page.getByText('1 difference on 5 hosts').waitFor();
      found.push(...(await complaintsOf(page)).map((each) => `${view}: ${each}`));
    }
    expect(found).toEqual([]);
    await page.context().close();
  });
}

test('what comes of a search, a walk and a question is told, and has nothing that axe-core complains of', async () => {
  const page = await open('reach');
  const found: string[] = [];
  const look = async (what: string) => found.push(...(await complaintsOf(page)).map((each) => `${what}: ${each}`));
  await page.keyboard.press('/');
  await page.keyboard.type('api');
  await page.getByRole('option').first().waitFor();
  await look('search');
  await page.keyboard.type(' of nobody');
  await page.getByRole('status').getByText('Nothing has these words.').waitFor();
  await look('search in vain');
  await page.keyboard.press('Escape');
  const [from, to] = [cluster.endpoint(0), cluster.endpoint(4)].map(({ id }) => id.slice(0, 16));
  await page.evaluate(`location.hash = '/reach?from=${from}&to=${to}'`);
  await page.getByRole('button', { name: 'Walk' }).click();
  await page.getByText('Nothing stands between them.').waitFor();
  await look('walk');
  await page.evaluate("location.hash = '/names'");
  await page.getByRole('textbox').fill('api-0');
  await page.keyboard.press('Enter');
  await page.getByRole('cell', { name: '10.128.0.2' }).waitFor();
  await look('name');
  expect(found).toEqual([]);
  await page.context().close();
});

test('every view is reached, used and left by keys, and the focus is seen', async () => {
  const page = await open('hosts');
  await page.keyboard.press('Tab');
  expect(await focused(page)).toBe('BUTTON Skip to the content');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  expect(await focused(page)).toBe('BUTTON ● 3 well');
  const outline = await page.evaluate('getComputedStyle(document.activeElement).outlineStyle');
  expect(outline).toBe('solid');
  for (let nth = 0; nth < 4; nth++) await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Enter');
  const host = page.getByRole('complementary', { name: 'host3' });
  await host.waitFor();
  await page.keyboard.press('Tab');
  expect(await focused(page)).toBe('BUTTON Close');
  await page.keyboard.press('Escape');
  await host.waitFor({ state: 'detached' });
  expect(await focused(page)).toMatch(/^option .*host3/);

  await page.getByRole('link', { name: 'Networks' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('grid', { name: 'Networks' }).focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  const network = page.getByRole('complementary', { name: 'cache-3' });
  await network.waitFor();
  await network.getByRole('button', { name: 'Close' }).focus();
  await page.keyboard.press('Enter');
  await network.waitFor({ state: 'detached' });
  expect(await focused(page)).toBe('grid Networks');
  // Headings sort, by keys as well.
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.locator('[role=columnheader][aria-sort=ascending]', { hasText: 'Name' }).waitFor();
  await page.context().close();
});

test('the focus, the row that is active and what is looked at stay where they are when rows come', async () => {
  const page = await open('endpoints', {}, 400);
  const table = page.getByRole('grid', { name: 'Endpoints' });
  // They come in parts.
  await page.getByRole('heading', { name: '400 endpoints' }).waitFor();
  await table.focus();
  const activeId = () => table.getAttribute('aria-activedescendant');
  for (let nth = 0; nth < 3; nth++) {
    const before = await activeId();
    await page.keyboard.press('PageDown');
    await until('another row to be active', async () => ![null, before].includes(await activeId()));
  }
  const active = async () => (await page.locator(`[id="${await activeId()}"] strong`).textContent())!;
  const name = await active();
  const placeOf = () => page.locator('.row.active').evaluate((row) => Math.round(row.getBoundingClientRect().top));
  const place = await placeOf();
  const link = table.locator('.row.active').getByRole('link').first();
  await link.focus();
  const isFocused = () => link.evaluate((element) => element.matches(':focus'));
  cluster.remove(keys.endpoint(cluster.endpoint(0)));
  await page.getByRole('heading', { name: '399 endpoints' }).waitFor();
  expect([await active(), await placeOf(), await isFocused()]).toEqual([name, place, true]);
  cluster.attach(0);
  await page.getByRole('heading', { name: '400 endpoints' }).waitFor();
  expect([await active(), await placeOf(), await isFocused()]).toEqual([name, place, true]);
  await page.context().close();
});

test('events are said as they happen, a few at a time', async () => {
  const page = await open('events');
  const said = page.getByRole('log', { name: 'What just happened' });
  await page.getByRole('grid').getByText('agent started').waitFor();
  await until('one to be said', async () => {
    for (let nth = 0; nth < 3; nth++) cluster.happen(1, 'network-created', 'network made');
    return /^host2: network-created, network made, and \d+ more$/.test((await said.textContent()) ?? '');
  });
  await page.context().close();
});

test('nothing moves for who wants less of that', async () => {
  const page = await open('hosts');
  const moving = await page.evaluate(
    "[...document.querySelectorAll('*')].filter((each) => { const { transitionDuration, animationName } = getComputedStyle(each); return transitionDuration !== '0s' || animationName !== 'none'; }).length",
  );
  expect(moving).toBe(0);
  await page.context().close();
});
