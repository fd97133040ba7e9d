/**
 * The dashboard for Grafana, out of one table: `deploy/grafana/overlayd.json` is what this makes, in the classic form, which Grafana
 * 10 to 12 import. A test writes it anew and looks at each query; another asks a real Prometheus for each.
 */

interface Query {
  readonly expr: string;
  readonly legend?: string;
  /** One row for each series, as a table. */
  readonly table?: boolean;
}

interface Panel {
  readonly title: string;
  readonly kind: 'stat' | 'timeseries' | 'table';
  /** Of Grafana's units; default: a plain number. */
  readonly unit?: string;
  readonly queries: readonly Query[];
  readonly about?: string;
  /** A stat is red from there on. */
  readonly redFrom?: number;
  readonly width?: number;
}

interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

/** What is chosen at the top: each query is of these hosts. */
const HOSTS = 'job="$job",instance=~"$instance"';
const of = (labels = '') => `{${HOSTS}${labels === '' ? '' : `,${labels}`}}`;
const rate = (name: string, labels = '') => `rate(${name}${of(labels)}[$__rate_interval])`;

function quantiles(name: string, labels = ''): readonly Query[] {
  return [0.5, 0.99].map((quantile) => ({
    expr: `histogram_quantile(${quantile}, sum by (le) (${rate(`${name}_bucket`, labels)}))`,
    legend: `p${quantile * 100}`,
  }));
}

function ratesBy(name: string, by: string, labels = ''): Query {
  return {
    expr: `sum by (${by}) (${rate(name, labels)})`,
    legend: by
      .split(', ')
      .map((each) => `{{${each}}}`)
      .join(' '),
  };
}

/** Of a path. */
const PATH = '{{instance}} to {{member}} (encrypted: {{encrypted}})';
const stat = (title: string, expr: string, options: Partial<Panel> = {}): Panel => ({
  ...{ title, kind: 'stat', width: 4, queries: [{ expr }] },
  ...options,
});
const graph = (title: string, queries: readonly Query[], options: Partial<Panel> = {}): Panel => ({
  ...{ title, kind: 'timeseries', queries },
  ...options,
});

const ROWS: readonly Row[] = [
  {
    title: 'Now',
    panels: [
      stat('Agents that are seen', `sum(up${of()})`),
      stat('Agents that are not', `count(up${of()} == 0) or vector(0)`, { redFrom: 1 }),
      stat('Findings', `sum(overlayd_finding${of('certain="true"')})`, { redFrom: 1 }),
      stat('Hosts without etcd', `count(overlayd_store_connected${of()} == 0) or vector(0)`, { redFrom: 1 }),
      stat('Data paths lost', `sum(overlayd_paths${of('state="lost"')})`, { redFrom: 1 }),
      stat('Endpoints', `sum(overlayd_local_endpoints${of()})`),
      {
        ...{ title: 'What is wrong', kind: 'table', width: 24 },
        about: 'As overlayd status tells it on each host. docs/errors.md says what each code means, and what mends it.',
        queries: [{ expr: `overlayd_finding${of()} > 0`, table: true }],
      },
    ],
  },
  {
    title: 'Cluster',
    panels: [
      graph('Members, as each host sees them', [
        { expr: `max by (state) (overlayd_members${of()})`, legend: '{{state}}' },
      ]),
      graph('Endpoints by network', [
        { expr: `sum by (network) (overlayd_network_local_endpoints${of()})`, legend: '{{network}}' },
      ]),
      graph(
        'Free addresses by network',
        [
          {
            expr: `max by (network, family) (overlayd_network_free_addresses${of('family="ipv4"')}) / max by (network, family) (overlayd_network_addresses${of('family="ipv4"')})`,
            legend: '{{network}}',
          },
        ],
        { unit: 'percentunit' },
      ),
      graph('Events', [ratesBy('overlayd_events_total', 'type')], { unit: 'cps' }),
    ],
  },
  {
    title: 'Data paths',
    panels: [
      graph('Paths by state', [{ expr: `sum by (state) (overlayd_paths${of()})`, legend: '{{state}}' }]),
      graph('Loss', [{ expr: `overlayd_path_loss_ratio${of()} > 0`, legend: PATH }], { unit: 'percentunit' }),
      graph('Round trip', [{ expr: `overlayd_path_round_trip_seconds${of()}`, legend: PATH }], { unit: 's' }),
      graph('WireGuard tunnels by state', [{ expr: `sum by (state) (overlayd_tunnels${of()})`, legend: '{{state}}' }]),
    ],
  },
  {
    title: 'Containers',
    panels: [
      graph('Time to connect one', quantiles('overlayd_attach_duration_seconds'), { unit: 's' }),
      graph(
        'Connected and taken off',
        [
          ratesBy('overlayd_attach_duration_seconds_count', 'result'),
          { expr: `sum(${rate('overlayd_detach_duration_seconds_count')})`, legend: 'taken off' },
        ],
        { unit: 'cps' },
      ),
      graph(
        'Time of tools’ calls, p99',
        [
          {
            expr: `histogram_quantile(0.99, sum by (le, tool, call) (${rate('overlayd_tool_call_duration_seconds_bucket')}))`,
            legend: '{{tool}} {{call}}',
          },
        ],
        { unit: 's' },
      ),
      graph('Requests of the command', [ratesBy('overlayd_control_request_duration_seconds_count', 'method, result')], {
        unit: 'reqps',
      }),
    ],
  },
  {
    title: 'Kernel',
    panels: [
      graph('Time of a pass', quantiles('overlayd_reconcile_duration_seconds'), { unit: 's' }),
      graph(
        'Changes and repairs',
        [
          { expr: `sum(${rate('overlayd_kernel_writes_total')})`, legend: 'changes' },
          { expr: `sum(${rate('overlayd_kernel_repairs_total')})`, legend: 'repairs' },
        ],
        { unit: 'cps' },
      ),
      graph(
        'Time of a job, p99',
        [
          {
            expr: `histogram_quantile(0.99, sum by (le, call) (${rate('overlayd_kernel_call_duration_seconds_bucket')}))`,
            legend: '{{call}}',
          },
        ],
        { unit: 's' },
      ),
      graph('What it refuses', [{ expr: `overlayd_kernel_problems${of()}`, legend: '{{instance}}' }]),
    ],
  },
  {
    title: 'etcd',
    panels: [
      graph('Time of a call', quantiles('overlayd_store_call_duration_seconds', 'result="ok"'), { unit: 's' }),
      graph('Calls', [ratesBy('overlayd_store_call_duration_seconds_count', 'call, result')], { unit: 'reqps' }),
      graph('Hosts that keep the store', [
        { expr: `min(overlayd_store_keepers${of()})`, legend: 'keep it' },
        { expr: `max(overlayd_store_keepers_wanted${of()})`, legend: 'wanted' },
      ]),
      graph(
        'Certificates end in',
        [
          {
            expr: `min by (certificate) (overlayd_certificate_expiry_timestamp_seconds${of()}) - time()`,
            legend: '{{certificate}}',
          },
        ],
        { unit: 's' },
      ),
    ],
  },
  {
    title: 'Names',
    panels: [
      graph('Answers', [ratesBy('overlayd_dns_answers_total', 'source, rcode')], { unit: 'reqps' }),
      graph('Time to answer, our own names', quantiles('overlayd_dns_answer_duration_seconds', 'source="own"'), {
        unit: 's',
      }),
      graph('Time to answer, upstream', quantiles('overlayd_dns_answer_duration_seconds', 'source="upstream"'), {
        unit: 's',
      }),
      graph(
        'Not answered',
        [
          ratesBy('overlayd_dns_dropped_total', 'reason'),
          { expr: `sum(${rate('overlayd_dns_overloaded_total')})`, legend: 'overloaded' },
          { expr: `sum(${rate('overlayd_dns_upstream_failures_total')})`, legend: 'no upstream answer' },
        ],
        { unit: 'reqps' },
      ),
    ],
  },
  {
    title: 'Cost',
    panels: [
      graph(
        'Processor time',
        [
          { expr: rate('process_cpu_seconds_total'), legend: '{{instance}} agent' },
          { expr: rate('overlayd_names_cpu_seconds_total'), legend: '{{instance}} names' },
        ],
        { unit: 'percentunit' },
      ),
      graph(
        'Memory',
        [
          { expr: `process_resident_memory_bytes${of()}`, legend: '{{instance}} agent' },
          { expr: `overlayd_names_resident_memory_bytes${of()}`, legend: '{{instance}} names' },
        ],
        { unit: 'bytes' },
      ),
      graph(
        "The agent's event loop is busy",
        [{ expr: rate('overlayd_event_loop_busy_seconds_total'), legend: '{{instance}}' }],
        { unit: 'percentunit' },
      ),
      graph(
        'Room on the disk',
        [
          {
            expr: `overlayd_data_disk_free_bytes${of()} / overlayd_data_disk_size_bytes${of()}`,
            legend: '{{instance}}',
          },
        ],
        {
          unit: 'percentunit',
        },
      ),
      graph('Open files', [{ expr: `process_open_fds${of()}`, legend: '{{instance}}' }]),
    ],
  },
];

const DATASOURCE = { type: 'prometheus', uid: '$datasource' };
/** Of Grafana's editor of Prometheus' variables: "Label values". */
const LABEL_VALUES = 1;
const GRID = 24;
const HEIGHTS = { stat: 4, timeseries: 8, table: 8 } as const;
const WIDTH = 12;

/** All queries, for tests. */
export const EXPRESSIONS = ROWS.flatMap(({ panels }) =>
  panels.flatMap(({ queries }) => queries.map(({ expr }) => expr)),
);

/** What is chosen among, by name of the variable. */
export const VARIABLES = {
  job: 'label_values(overlayd_build_info, job)',
  instance: 'label_values(overlayd_build_info{job="$job"}, instance)',
} as const;

export function dashboard(): object {
  const panels: object[] = [];
  let y = 0;
  for (const { title, panels: inRow } of ROWS) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: GRID, h: 1 },
      panels: [],
    });
    y += 1;
    let x = 0;
    let height = 0;
    for (const panel of inRow) {
      const { kind, width: w = WIDTH } = panel;
      if (x + w > GRID) {
        [x, y, height] = [0, y + height, 0];
      }
      panels.push({ id: panels.length + 1, ...panelOf(panel), gridPos: { x, y, w, h: HEIGHTS[kind] } });
      x += w;
      height = Math.max(height, HEIGHTS[kind]);
    }
    y += height;
  }
  return {
    ...{ id: null, uid: 'overlayd', title: 'overlayd', tags: ['overlayd', 'network'], schemaVersion: 39, version: 1 },
    ...{ editable: true, graphTooltip: 1, refresh: '30s', time: { from: 'now-6h', to: 'now' }, timezone: '' },
    ...{ annotations: { list: [] }, links: [], templating: { list: variables() }, panels },
  };
}

function variables(): object[] {
  const chosen = (name: string, label: string, query: string, multi: boolean) => ({
    ...{ name, label, type: 'query', datasource: DATASOURCE, refresh: 2, sort: 1, hide: 0 },
    ...{ query: { query, refId: name, qryType: LABEL_VALUES }, definition: query, regex: '', skipUrlSync: false },
    ...{ multi, includeAll: multi, current: {}, options: [] },
    ...(multi && { allValue: '.*' }),
  });
  return [
    {
      ...{ name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus', regex: '', hide: 0 },
      ...{ refresh: 1, multi: false, includeAll: false, skipUrlSync: false, current: {}, options: [] },
    },
    chosen('job', 'Job', VARIABLES.job, false),
    chosen('instance', 'Host', VARIABLES.instance, true),
  ];
}

function panelOf({ title, kind, unit = 'short', queries, about, redFrom }: Panel): object {
  const steps = [{ color: 'green', value: null }, ...(redFrom === undefined ? [] : [{ color: 'red', value: redFrom }])];
  return {
    ...{ type: kind, title, datasource: DATASOURCE, ...(about !== undefined && { description: about }) },
    targets: queries.map(({ expr, legend = '__auto', table }, at) => ({
      ...{ refId: String.fromCharCode('A'.charCodeAt(0) + at), datasource: DATASOURCE, editorMode: 'code', expr },
      ...(table ? { format: 'table', instant: true, range: false } : { legendFormat: legend, range: true }),
    })),
    fieldConfig: {
      defaults: { unit, ...(kind === 'timeseries' ? { min: 0 } : { thresholds: { mode: 'absolute', steps } }) },
      overrides: [],
    },
    ...(kind === 'stat' && {
      options: { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, colorMode: 'value' },
    }),
    ...(kind === 'timeseries' && {
      options: {
        legend: { displayMode: 'list', placement: 'bottom', showLegend: true, calcs: [] },
        tooltip: { mode: 'multi', sort: 'desc' },
      },
    }),
    ...(kind === 'table' && {
      transformations: [
        {
          id: 'organize',
          options: { excludeByName: { Time: true, __name__: true, job: true }, renameByName: { Value: 'how many' } },
        },
      ],
    }),
  };
}
