/** What the agent shows of itself to those who watch it: metrics, and traces where somebody takes them. */
import { join } from 'node:path';
import type { NamesKeeper } from './adapters/dns/process/keeper.ts';
import { type MetricsPlace, MetricsServer } from './adapters/metrics-server.ts';
import { processFacts } from './adapters/system/process-facts.ts';
import { diskRoom } from './adapters/system/room.ts';
import type { Membership } from './agent/lifecycle.ts';
import { Metrics } from './agent/metrics.ts';
import type { Report } from './agent/report.ts';
import { StepTelemetry } from './agent/telemetry.ts';
import { shownCertificate } from './core/ca-rotation.ts';
import type { Config } from './core/config/option.ts';
import { StepMeter } from './core/metrics/step-meter.ts';
import type { Pki } from './ports/identity.ts';
import type { Clock, Logger } from './ports/runtime.ts';
import { VERSION } from './version.ts';

export interface MetricsParts {
  readonly report: Report;
  readonly names: NamesKeeper;
  readonly events: ReadonlyMap<string, number>;
  readonly pki: Pick<Pki, 'validity'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

const FLUSH_MS = 1_000;

export async function composeTelemetry(config: Config, logger: Logger) {
  const traces = await tracesOf(config, logger);
  const meter = new StepMeter();
  const telemetry = new StepTelemetry({ meter, tracer: traces?.tracer, stopwatch: () => performance.now() });
  let server: MetricsServer | undefined;
  return {
    telemetry,
    problems: () => [server?.problem ?? []].flat(),
    /** Ends some time after the signal. */
    async serve({ report, names, events, pki, clock, logger }: MetricsParts, signal: AbortSignal): Promise<void> {
      const place = placeOf(config);
      if (place === undefined) return;
      const metrics = new Metrics({
        ...{ report, meter, events, clock, version: VERSION, process: processFacts },
        names: () => names.counts(),
        disk: () => diskRoom(config.dataDir),
        expiries: (membership) => expiriesOf(pki, membership),
      });
      server = new MetricsServer({ collect: () => metrics.collect(), clock, logger }, place);
      await server.run(signal);
    },
    end: () => traces?.flush(FLUSH_MS),
  };
}

/** Nothing of it is loaded where traces are off. */
async function tracesOf({ traces: url }: Config, logger: Logger) {
  if (url === undefined) return undefined;
  const { openTraces } = await import('./adapters/traces/exporter.ts');
  const onFailure = (reason: string | undefined) => {
    if (reason === undefined) logger.info({ url }, 'the collector takes traces again');
    else logger.warn({ url, reason }, 'the collector does not take traces; those of meanwhile are lost');
  };
  return openTraces({ onFailure }, { url, version: VERSION, part: 'agent' });
}

function placeOf({ metricsListen, runDir }: Config): MetricsPlace | undefined {
  if (metricsListen.kind === 'off') return undefined;
  return metricsListen.kind === 'run-dir' ? { kind: 'unix', path: join(runDir, 'metrics.sock') } : metricsListen;
}

function expiriesOf(pki: Pick<Pki, 'validity'>, { identity }: Membership) {
  const { certificate, caCertificate } = shownCertificate(identity);
  return { node: pki.validity(certificate).notAfter, ca: pki.validity(caCertificate).notAfter };
}
