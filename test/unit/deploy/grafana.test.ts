import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { dashboard, EXPRESSIONS } from '../../../deploy/grafana-dashboard.ts';
import { METRICS } from '../../../src/core/metrics/catalog.ts';

const FILE = path.resolve(import.meta.dirname, '../../../deploy/grafana/overlayd.json');

// `vitest run --project unit -u test/unit/deploy/grafana.test.ts` writes it anew.
it('is what the table says', async () => {
  await expect(`${JSON.stringify(dashboard(), undefined, 2)}\n`).toMatchFileSnapshot(FILE);
});

it('asks for metrics that there are, by labels that they have', () => {
  const byName = new Map(Object.values(METRICS).map((metric) => [metric.name, metric]));
  for (const expr of EXPRESSIONS) {
    for (const [, name = '', labels = ''] of expr.matchAll(/\b((?:overlayd|process)_\w+)\{([^}]*)\}/g)) {
      const metric = byName.get(name.replace(/_(bucket|count|sum)$/, '')) ?? byName.get(name);
      expect(metric, name).toBeDefined();
      const asked = [...labels.matchAll(/(\w+)=~?"/g)].map(([, label]) => label!);
      expect(
        asked.filter((label) => !['job', 'instance', ...metric!.labels].includes(label)),
        expr,
      ).toEqual([]);
    }
  }
});

it('has queries that Prometheus can read', () => {
  const rules = EXPRESSIONS.map((expr, at) => ({
    record: `panel:${at}`,
    expr: expr.replaceAll('$__rate_interval', '1m').replaceAll('$job', 'overlayd').replaceAll('$instance', '.*'),
  }));
  const folder = mkdtempSync(path.join(tmpdir(), 'overlayd-dashboard-'));
  try {
    const file = path.join(folder, 'rules.yml');
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'dashboard', rules }] }));
    expect(execFileSync('promtool', ['check', 'rules', file], { encoding: 'utf8' })).toContain(`${rules.length} rules`);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('has panels that do not lie over each other, each with a number of its own', () => {
  type Place = { id: number; gridPos: { x: number; y: number; w: number; h: number } };
  const { panels } = dashboard() as { panels: Place[] };
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const overlap = ({ gridPos: a }: Place, { gridPos: b }: Place) =>
    a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
  const over = panels.flatMap((one, at) => panels.slice(at + 1).filter((other) => overlap(one, other)));
  expect(over).toEqual([]);
});
