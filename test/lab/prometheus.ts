/** A real Prometheus (Debian's) that reads agents of the lab and looks at the shipped alerts. */
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Host, type HostProcess, ROOT } from './host.ts';
import { until } from './until.ts';

export type Labels = Readonly<Record<string, string>>;

export interface Series {
  readonly labels: Labels;
  readonly value: number;
}

/** Alerts by name, each with labels that it has. */
export type Wanted = Readonly<Record<string, Labels>>;

const ADDRESS = '127.0.0.1:9090';
const RULES = join(ROOT, 'deploy/prometheus/alerts.yml');
const FIRING = 'ALERTS{alertstate="firing"}';
/** It looks once a second: who asks more often hears the same. */
const LOOK_MS = 500;

/** Names of the shipped alerts, as they stand in the file. */
export function shippedAlerts(): readonly string[] {
  return [...readFileSync(RULES, 'utf8').matchAll(/- alert: (\w+)/g)].map(([, name]) => name!);
}

/** The shipped rules, but that each fires as soon as it holds for a second. Nothing else of them is another. */
function hastyRules(): string {
  const rules = readFileSync(RULES, 'utf8');
  const [duration, hasty] = [/^( +)for: \S+$/gm, '$1for: 1s'];
  const durations = rules.match(duration)?.length;
  if (durations !== shippedAlerts().length) throw new Error(`${durations} alerts have a line "for: DURATION"`);
  return rules.replaceAll(duration, hasty);
}

/** Runs in a host of the lab, reads every second, and looks at the rules as often. */
export class Prometheus {
  readonly #host: Host;
  #process: HostProcess | undefined;
  #looked: { readonly at: number; readonly firing: Promise<readonly Labels[]> } | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  /** `targets`: where agents show their metrics, `HOST:PORT` as seen from this host, by what they are called (`instance`). */
  async start(targets: Labels): Promise<void> {
    const folder = join(this.#host.directory, 'prometheus');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'alerts.yml'), hastyRules());
    const static_configs = Object.entries(targets).map(([instance, target]) => ({
      ...{ targets: [target], labels: { instance } },
    }));
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [join(folder, 'alerts.yml')],
      scrape_configs: [{ job_name: 'overlayd', static_configs }],
    };
    // YAML takes JSON.
    await writeFile(join(folder, 'prometheus.yml'), JSON.stringify(config));
    const flags = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`];
    this.#process = this.#host.spawn(['prometheus', ...flags, `--web.listen-address=${ADDRESS}`], {
      log: 'prometheus.log',
    });
    const count = Object.keys(targets).length;
    await until('Prometheus to have asked the agents', async () => (await this.query('up == 1')).length === count);
  }

  async stop(): Promise<void> {
    await this.#process?.kill();
    await this.#process?.exited;
  }

  async query(expression: string): Promise<readonly Series[]> {
    return (await this.queryAll([expression]))[0]!;
  }

  /** Of each expression what it is now. Throws what Prometheus finds wrong with one. */
  async queryAll(expressions: readonly string[]): Promise<readonly (readonly Series[])[]> {
    const paths = expressions.map((expression) => `/api/v1/query?query=${encodeURIComponent(expression)}`);
    const answers = (await this.#get(paths)) as { result: { metric: Labels; value: [number, string] }[] }[];
    return answers.map(({ result }) =>
      result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) })),
    );
  }

  /** Values of a label in the series that a selector names, as Grafana asks for them. */
  async labelValues(label: string, selector: string): Promise<readonly string[]> {
    const [values] = await this.#get([`/api/v1/label/${label}/values?match[]=${encodeURIComponent(selector)}`]);
    return values as string[];
  }

  /** Labels of the alerts that fire, `alertname` among them. */
  firing(): Promise<readonly Labels[]> {
    const now = performance.now();
    if (this.#looked === undefined || now - this.#looked.at > LOOK_MS)
      this.#looked = { at: now, firing: this.query(FIRING).then((all) => all.map(({ labels }) => labels)) };
    return this.#looked.firing;
  }

  /** `provoke` is done again and again until they do. */
  async untilFires(wanted: Wanted, provoke: () => Promise<unknown> = rest): Promise<void> {
    const names = Object.keys(wanted);
    await until(`${names.join(', ')} to fire`, async () => {
      const firing = await this.firing();
      const missing = names.filter((name) => !firing.some((each) => isThat(each, name, wanted[name]!)));
      if (missing.length === 0) return true;
      await provoke();
      throw new Error(`missing ${missing.join(', ')} of ${JSON.stringify(wanted)}; firing: ${describe(firing)}`);
    });
  }

  /** `look` is done again and again until they do not. */
  async untilQuiet(wanted: Wanted, look: () => Promise<unknown> = rest): Promise<void> {
    const names = Object.keys(wanted);
    await until(`${names.join(', ')} to end`, async () => {
      const firing = await this.firing();
      const left = firing.filter((each) => names.some((name) => isThat(each, name, wanted[name]!)));
      if (left.length === 0) return true;
      await look();
      throw new Error(`firing: ${describe(left)}`);
    });
  }

  async #get(paths: readonly string[]): Promise<unknown[]> {
    const lines = paths.map((path) => `url = "http://${ADDRESS}${path}"\n`);
    const input = `silent\nshow-error\ngloboff\nwrite-out = "\\n"\n${lines.join('')}`;
    const printed = await this.#host.must(['curl', '--config', '-'], { input });
    return printed
      .trimEnd()
      .split('\n')
      .map((line, at) => {
        const { status, data, error } = JSON.parse(line) as { status: string; data: unknown; error?: string };
        if (status !== 'success') throw new Error(`${decodeURIComponent(paths[at]!)}: ${error}`);
        return data;
      });
  }
}

const rest = () => pause(LOOK_MS);

function isThat(labels: Labels, name: string, wanted: Labels): boolean {
  if (labels.alertname !== name) return false;
  return Object.entries(wanted).every(([label, value]) => labels[label] === value);
}

function describe(alerts: readonly Labels[]): string {
  return alerts.map(({ alertname, instance, code = '' }) => `${alertname} ${instance} ${code}`.trim()).join(', ');
}
