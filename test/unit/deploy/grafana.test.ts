import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { dashboard, EXPRESSIONS } from '../../../deploy/grafana-dashboard.ts';
import { METRICS } from '../../../src/core/metrics/catalog.ts';

const FILE = path.resolve(import.meta.dirname, '../../../deploy/grafana/overlayd.json');

// `vitest run --project unit test/unit/deploy/grafana.test.ts -u` writes it anew.
it('is what the table says', async () => {
  await expect(`${JSON.stringify(dashboard(), undefined, 2)}\n`).toMatchFileSnapshot(FILE);
});

/**
 * As Grafana's own description of a dashboard has it (kinds/dashboard of its sources; a classic one of version 36 and up is brought up to
 * date when it is imported), and as its exports of 10 to 12 look. What is not here is not in ours.
 */
const SOURCE = z.strictObject({ type: z.literal('prometheus'), uid: z.literal('$datasource') });
const GRID = z.strictObject({
  x: z.int().min(0).max(23),
  y: z.int().min(0),
  w: z.int().min(1).max(24),
  h: z.int().min(1),
});
const variable = (more: z.ZodRawShape) =>
  z.strictObject({
    ...{
      name: z.string(),
      label: z.string(),
      regex: z.string(),
      hide: z.literal([0, 1, 2]),
      refresh: z.literal([0, 1, 2]),
    },
    ...{ multi: z.boolean(), includeAll: z.boolean(), skipUrlSync: z.boolean() },
    ...{ current: z.strictObject({}), options: z.tuple([]), ...more },
  });
const DASHBOARD = z.strictObject({
  ...{ id: z.null(), uid: z.string().max(40), title: z.string(), tags: z.array(z.string()), version: z.int() },
  ...{ schemaVersion: z.int().min(36).max(41), editable: z.boolean(), graphTooltip: z.literal([0, 1, 2]) },
  ...{ refresh: z.string().regex(/^\d+[smh]$/), time: z.strictObject({ from: z.string(), to: z.string() }) },
  ...{
    timezone: z.literal(['', 'browser', 'utc']),
    annotations: z.strictObject({ list: z.tuple([]) }),
    links: z.tuple([]),
  },
  templating: z.strictObject({
    list: z.tuple(
      [variable({ type: z.literal('datasource'), query: z.literal('prometheus') })],
      variable({
        ...{ type: z.literal('query'), datasource: SOURCE, sort: z.int().min(0).max(8), definition: z.string() },
        query: z.strictObject({ query: z.string(), refId: z.string(), qryType: z.literal(1) }),
        allValue: z.string().optional(),
      }),
    ),
  }),
  panels: z.array(
    z.discriminatedUnion('type', [
      z.strictObject({
        ...{ id: z.int(), type: z.literal('row'), title: z.string(), collapsed: z.literal(false), gridPos: GRID },
        panels: z.tuple([]),
      }),
      z.strictObject({
        ...{ id: z.int(), type: z.literal(['stat', 'timeseries', 'table']), title: z.string(), gridPos: GRID },
        ...{ datasource: SOURCE, description: z.string().optional(), options: z.looseObject({}).optional() },
        targets: z
          .array(
            z.strictObject({
              ...{
                refId: z.string().regex(/^[A-Z]$/),
                datasource: SOURCE,
                editorMode: z.literal('code'),
                expr: z.string(),
              },
              ...{ legendFormat: z.string().optional(), range: z.boolean(), instant: z.boolean().optional() },
              format: z.literal('table').optional(),
            }),
          )
          .min(1),
        fieldConfig: z.strictObject({
          defaults: z.strictObject({
            unit: z.literal(['short', 's', 'cps', 'reqps', 'percentunit', 'bytes']),
            min: z.number().optional(),
            thresholds: z
              .strictObject({
                mode: z.literal('absolute'),
                steps: z.array(z.strictObject({ color: z.string(), value: z.number().nullable() })),
              })
              .optional(),
          }),
          overrides: z.tuple([]),
        }),
        transformations: z.array(z.strictObject({ id: z.string(), options: z.looseObject({}) })).optional(),
      }),
    ]),
  ),
});

it('is of the shape that Grafana 10 to 12 import', () => {
  const { panels } = DASHBOARD.parse(JSON.parse(readFileSync(FILE, 'utf8')));
  expect(panels.length).toBeGreaterThan(40);
  // A series each in one panel, told apart.
  for (const panel of panels) {
    if (panel.type === 'row') continue;
    expect(new Set(panel.targets.map(({ refId }) => refId)).size, panel.title).toBe(panel.targets.length);
  }
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
