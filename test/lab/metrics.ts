/** Metrics of a host's agent as somebody reads them. */
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Host } from './host.ts';

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
