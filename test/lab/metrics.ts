/** Metrics of a host's agent as somebody reads them, and a real Prometheus that does. */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type Host, type HostProcess, ROOT } from './host.ts';
import { until } from './until.ts';

export const SOCKET = '/run/overlayd/metrics.sock';
export const OPENMETRICS = 'application/openmetrics-text; version=1.0.0';

/** As they come over the agent's socket. */
export function readMetrics(host: Host, accept?: string): Promise<string> {
  const headers = accept === undefined ? {} : { Accept: accept };
  return new Promise((resolve, reject) => {
    request({ socketPath: host.path(SOCKET), path: '/metrics', headers, agent: false }, (response) => {
      text(response).then(resolve, reject);
    })
      .on('error', reject)
      .end();
  });
}

/** Of a series as it is written: `overlayd_members{state="ready"}`. Undefined: there is none. */
export function seriesValue(metrics: string, series: string): number | undefined {
  const line = metrics.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

const ADDRESS = '127.0.0.1:9090';

/** Debian's, in a host of the lab: asks this host's agent every second, and looks at the shipped alerts as often. */
export class Prometheus {
  readonly #host: Host;
  #process: HostProcess | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  /** `target`: where the agent shows its metrics. Alerts fire as soon as they hold for a second. */
  async start(target: string): Promise<void> {
    const folder = join(this.#host.directory, 'prometheus');
    await mkdir(folder, { recursive: true });
    const rules = readFileSync(join(ROOT, 'deploy/prometheus/alerts.yml'), 'utf8').replaceAll(
      /for: \d+[smh]/g,
      'for: 1s',
    );
    await writeFile(join(folder, 'alerts.yml'), rules);
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [join(folder, 'alerts.yml')],
      scrape_configs: [{ job_name: 'overlayd', static_configs: [{ targets: [target] }] }],
    };
    // YAML takes JSON.
    await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config));
    const flags = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`];
    this.#process = this.#host.spawn(['prometheus', ...flags, `--web.listen-address=${ADDRESS}`], {
      log: 'prometheus.log',
    });
    await until('Prometheus to have asked the agent', async () => (await this.query('up == 1')).length > 0);
  }

  async stop(): Promise<void> {
    await this.#process?.kill();
    await this.#process?.exited;
  }

  /** Series with their values, as promtool prints them: `up{instance="…"} => 1 @[…]`. */
  async query(expression: string): Promise<readonly string[]> {
    const printed = await this.#host.must(['promtool', 'query', 'instant', `http://${ADDRESS}`, expression]);
    return printed.split('\n').filter((line) => line.includes(' => '));
  }

  /** Names of alerts that fire. */
  async firing(): Promise<readonly string[]> {
    const series = await this.query('ALERTS{alertstate="firing"}');
    return [...new Set(series.map((each) => /alertname="(\w+)"/.exec(each)?.[1] ?? each))].sort();
  }

  async untilFires(...alerts: readonly string[]): Promise<void> {
    await until(`${alerts.join(', ')} to fire`, async () => {
      const firing = await this.firing();
      if (alerts.every((alert) => firing.includes(alert))) return true;
      throw new Error(`firing: ${firing.join(', ')}`);
    });
  }

  async untilQuiet(...alerts: readonly string[]): Promise<void> {
    await until(`${alerts.join(', ')} to end`, async () => {
      const firing = await this.firing();
      return !alerts.some((alert) => firing.includes(alert));
    });
  }
}
