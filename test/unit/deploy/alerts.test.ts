/** The alerts by Prometheus' own tool: each is fired by the series that it is made for, and by no others. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { FINDINGS } from '../../../src/core/finding.ts';
import { METRICS } from '../../../src/core/metrics/catalog.ts';

const RULES = path.resolve(import.meta.dirname, '../../../deploy/prometheus/alerts.yml');
const text = readFileSync(RULES, 'utf8');
const alerts = [...text.matchAll(/- alert: (\w+)/g)].map(([, name]) => name!);

/** By series, as promtool has values: what it is first, what is added, and how often (each is 30 s). */
type Series = Readonly<Record<string, string>>;

const OF = 'job="overlayd",instance="h1"';
const finding = (code: string): Series => ({ [`overlayd_finding{${OF},code="${code}",certain="true"}`]: '1x240' });
const series = (name: string, labels: string, values: string): Series => ({
  [`${name}{${[OF, labels].filter((each) => each !== '').join(',')}}`]: values,
});
/** Of `count` in all, all in one bucket. */
const histogram = (name: string, labels: string, le: string, perStep: number): Series => ({
  ...series(`${name}_bucket`, `${labels},le="${le}"`, `0+${perStep}x240`),
  ...series(`${name}_bucket`, `${labels},le="+Inf"`, `0+${perStep}x240`),
  ...series(`${name}_count`, labels, `0+${perStep}x240`),
});

/** What there is of a host that is well. */
const WELL: Series = {
  ...series('up', '', '1x240'),
  ...series('overlayd_member', '', '1x240'),
  ...series('overlayd_store_connected', '', '1x240'),
  ...series('overlayd_store_keepers', '', '3x240'),
  ...series('overlayd_store_keepers_wanted', '', '3x240'),
  ...series('overlayd_members', 'state="ready"', '5x240'),
  ...series('overlayd_members', 'state="down"', '0x240'),
  ...series('overlayd_paths', 'encrypted="false",state="passes"', '4x240'),
  ...series('overlayd_paths', 'encrypted="false",state="lost"', '0x240'),
  ...series('overlayd_paths', 'encrypted="true",state="lost"', '0x240'),
  ...series('overlayd_kernel_problems', '', '0x240'),
  ...series('overlayd_kernel_repairs_total', '', '3x240'),
  ...series('overlayd_names_up', '', '1x240'),
  ...series('overlayd_dns_overloaded_total', '', '0x240'),
  ...series('overlayd_dns_dropped_total', 'reason="flood"', '0x240'),
  ...series('overlayd_dns_upstream_failures_total', '', '0x240'),
  ...series('overlayd_dns_answers_total', 'source="upstream",rcode="NOERROR"', '0+600x240'),
  ...series('overlayd_network_free_addresses', 'network="web",family="ipv4"', '200x240'),
  ...series('overlayd_network_addresses', 'network="web",family="ipv4"', '256x240'),
  ...series('overlayd_certificate_expiry_timestamp_seconds', 'certificate="node"', '8000000x240'),
  ...series('overlayd_data_disk_free_bytes', '', '5000x240'),
  ...series('overlayd_data_disk_size_bytes', '', '10000x240'),
  ...histogram('overlayd_attach_duration_seconds', 'result="ok"', '0.05', 10),
  // Mistakes of those who ask are nothing that is wrong here.
  ...histogram('overlayd_attach_duration_seconds', 'result="refused"', '0.05', 100),
  ...histogram('overlayd_store_call_duration_seconds', 'call="Txn",result="ok"', '0.01', 10),
};

/** Of each alert, what is otherwise. */
const CASES: Readonly<Record<string, Series>> = {
  OverlaydAgentDown: series('up', '', '0x240'),
  OverlaydNotMember: finding('not-started'),
  OverlaydStoreAway: { ...series('overlayd_store_connected', '', '0x240'), ...finding('store-away') },
  OverlaydStoreRefuses: finding('store-alarm'),
  OverlaydStoreFewKeepers: series('overlayd_store_keepers', '', '1x240'),
  OverlaydStoreSlow: histogram('overlayd_store_call_duration_seconds', 'call="Txn",result="ok"', '2.5', 10),
  OverlaydMemberAway: { ...series('overlayd_members', 'state="down"', '1x240'), ...finding('member-away') },
  OverlaydHostCutOff: finding('gossip-unheard'),
  OverlaydDataPathLost: {
    ...series('overlayd_paths', 'encrypted="true",state="lost"', '1x240'),
    ...finding('data-path-lost'),
  },
  OverlaydDataPathLoss: {
    ...series('overlayd_paths', 'encrypted="false",state="loses"', '1x240'),
    ...finding('data-path-loss'),
  },
  OverlaydPathMtu: finding('path-mtu'),
  OverlaydTunnelFailed: finding('tunnel-failed'),
  OverlaydFirewallInTheWay: finding('data-port-filtered'),
  OverlaydKernelRefuses: { ...series('overlayd_kernel_problems', '', '1x240'), ...finding('kernel-refused') },
  OverlaydDrift: series('overlayd_kernel_repairs_total', '', '0+1x240'),
  OverlaydNamesUnanswered: series('overlayd_names_up', '', '0x240'),
  OverlaydNamesOverloaded: series('overlayd_dns_overloaded_total', '', '0+300x240'),
  OverlaydUpstreamNamesFail: series('overlayd_dns_upstream_failures_total', '', '0+300x240'),
  OverlaydAttachFails: histogram('overlayd_attach_duration_seconds', 'result="error"', '0.05', 30),
  OverlaydAttachSlow: histogram('overlayd_attach_duration_seconds', 'result="ok"', '5', 10),
  OverlaydAddressesRunOut: series('overlayd_network_free_addresses', 'network="web",family="ipv4"', '20x240'),
  OverlaydCertificateEnds: series('overlayd_certificate_expiry_timestamp_seconds', 'certificate="node"', '400000x240'),
  OverlaydClockSkew: finding('clock-skew'),
  OverlaydStateUnsaved: finding('state-unsaved'),
  OverlaydDiskFull: series('overlayd_data_disk_free_bytes', '', '100x240'),
  OverlaydFinding: finding('docker-side'),
};

/** A test file of promtool (YAML takes JSON): after two hours these alerts fire, each once, and no others. */
function ruleTest(name: string, changed: Series, firing: readonly string[]) {
  const input = Object.entries({ ...withoutBuckets(WELL, changed), ...changed });
  return {
    ...{ name, interval: '30s' },
    input_series: input.map(([each, values]) => ({ series: each, values })),
    promql_expr_test: [
      {
        expr: 'count by (alertname) (ALERTS{alertstate="firing"})',
        eval_time: '119m',
        exp_samples: firing.map((alertname) => ({ labels: `{alertname="${alertname}"}`, value: 1 })),
      },
    ],
  };
}

/** A histogram that is otherwise takes the place of the one that is well. */
function withoutBuckets(well: Series, changed: Series): Series {
  const keyOf = (each: string) => each.replace(/,?le="[^"]*"/, '');
  const changedKeys = new Set(Object.keys(changed).map(keyOf));
  return Object.fromEntries(Object.entries(well).filter(([each]) => !changedKeys.has(keyOf(each))));
}

async function promtool(...args: string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)('promtool', args).catch((error) => {
    if (error.code === 'ENOENT')
      throw new Error("promtool is missing: bash deploy/setup.sh --test (Debian's prometheus)");
    throw new Error(`${error.stdout}${error.stderr}`);
  });
  return stdout + stderr;
}

it('are rules that Prometheus takes', async () => {
  expect(await promtool('check', 'rules', RULES)).toContain(`SUCCESS: ${alerts.length} rules found`);
});

it('each is fired by what it is made for, once, with no other beside it; a host that is well fires none', async () => {
  expect(Object.keys(CASES)).toEqual(alerts);
  const folder = mkdtempSync(path.join(tmpdir(), 'overlayd-alerts-'));
  try {
    const tests = [
      ruleTest('well', {}, []),
      ...Object.entries(CASES).map(([alert, changed]) => ruleTest(alert, changed, [alert])),
    ];
    const file = path.join(folder, 'tests.json');
    writeFileSync(file, JSON.stringify({ rule_files: [RULES], evaluation_interval: '30s', tests }));
    expect(await promtool('test', 'rules', file)).toContain('SUCCESS');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('name metrics, labels and findings that there are', () => {
  const known = new Set(Object.values(METRICS).map(({ name }) => name));
  const named = [...text.matchAll(/\boverlayd_\w+/g)].map(([name]) => name.replace(/_(bucket|count|sum)$/, ''));
  expect(named.filter((name) => !known.has(name))).toEqual([]);
  const codes = [...text.matchAll(/code[!=~]+"([^"]+)"/g)].flatMap(([, list]) => list!.split('|'));
  expect(codes.filter((code) => !(code in FINDINGS))).toEqual([]);
});
