/** `node test/page/screenshots.ts [DIRECTORY]`: the pictures of docs/page.md, and of each view for whoever changes one. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Drift } from '../../src/gen/overlayd/v1/drift.ts';
import { ROOT } from '../lab/host.ts';
import { openPage, startBrowser } from './browser.ts';
import { FakeCluster } from './fake-cluster.ts';
import { servePage } from './served-page.ts';

interface Shot {
  readonly name: string;
  readonly where: string;
  readonly size?: 'large';
  readonly walk?: true;
  readonly dark?: boolean;
  readonly width?: number;
  readonly height?: number;
}

const SHOTS: readonly Shot[] = [
  { name: 'hosts', where: '/#/hosts/host3' },
  { name: 'hosts-dark', where: '/#/hosts/host2', dark: true },
  { name: 'hosts-large', where: '/#/hosts', size: 'large' },
  { name: 'networks', where: '/#/networks/api-0' },
  { name: 'endpoints', where: '/#/endpoints', size: 'large' },
  { name: 'reach', where: '/#/reach', walk: true },
  { name: 'names', where: '/#/names' },
  { name: 'drift', where: '/#/drift', dark: true },
  { name: 'events', where: '/#/events' },
  { name: 'narrow', where: '/#/networks/db-2', dark: true, width: 420, height: 760 },
];

const HAPPENED = [
  ['endpoint-attached', 'endpoint attached'],
  ['endpoint-detached', 'endpoint detached'],
  ['kernel-repaired', 'what something else changed is put right'],
] as const;

const directory = process.argv[2] ?? join(ROOT, 'docs/page');
mkdirSync(directory, { recursive: true });
const browser = await startBrowser();
for (const { name, where, size, walk, ...options } of SHOTS) {
  const cluster = new FakeCluster(
    size === 'large' ? { hosts: 1_000, networks: 50, endpoints: 10_000 } : { hosts: 9, networks: 8, endpoints: 300 },
  );
  cluster.setPath(2, { path: 'loses', lossPercent: 24 });
  cluster.setPath(5, { path: 'lost', lossPercent: 100 });
  if (size) for (let at = 7; at < 1_000; at += 61) cluster.setPath(at, { state: at % 2 ? 'suspect' : 'down' });
  cluster.status.state = 'degraded';
  const text = 'packets to host6 get lost: nothing comes back from 192.0.0.6, UDP port 4789';
  const mend = 'open UDP port 4789 between the hosts';
  cluster.status.findings = [
    { code: 'data-path-lost', subject: 'host6', text, mend, sinceMs: Date.now() - 600_000, certain: true },
  ];
  const row = { kind: 'FDB row', object: '02:42:0a:80:00:12 dev vx0', state: 'missing', network: 'api-0' };
  const why = 'endpoint web-16 on host8';
  cluster.drifts.set(0, [Drift.fromPartial({ ...row, place: 'ovl-4096', why, sinceMs: Date.now() - 130_000 })]);
  cluster.silent.add(5);
  const ids = [0, 16].map((at) => cluster.endpoint(at).id.slice(0, 16));
  const served = await servePage(cluster, { writable: true });
  const begin = performance.now();
  const { page, complaints } = await openPage(
    browser,
    `${served.url}${where}${walk ? `?from=${ids[0]}&to=${ids[1]}` : ''}`,
    options,
  );
  await page.locator('.tile, .row, .fields').first().waitFor();
  if (walk) await page.getByRole('button', { name: 'Walk' }).click();
  if (name === 'names') {
    await page.getByRole('textbox').fill('api-0');
    await page.getByRole('button', { name: 'Ask' }).click();
  }
  const shown = Math.round(performance.now() - begin);
  for (let at = 0; name === 'events' && at < 12; at++) {
    const [type, message] = HAPPENED[at % HAPPENED.length]!;
    cluster.happen(at % 9, type, message, { network: 'web-1', container: `docker:web-${at}` });
  }
  await page.waitForTimeout(600);
  const paint = await page.evaluate(
    "Math.round(performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0)",
  );
  await page.screenshot({ path: join(directory, `${name}.png`) });
  console.log(
    `${name}: first paint ${paint} ms, rows after ${shown} ms${complaints.length > 0 ? `; ${complaints}` : ''}`,
  );
  await page.context().close();
  served.close();
}
await browser.close();
