import { expect, it } from 'vitest';
import { AnswerCounter, type NamesCounts } from '../../../../src/core/dns/names-counts.ts';
import { dnsMetrics } from '../../../../src/core/metrics/dns-metrics.ts';
import type { HistogramCounts } from '../../../../src/core/metrics/histogram.ts';

const answer = (rcode: number) => Uint8Array.of(0, 1, 0x81, 0x80 | rcode);

it('has answers by where they came from and their code, as they went over the line', () => {
  const [own, upstream] = [new AnswerCounter(), new AnswerCounter()];
  own.note(answer(0), 0.000_01);
  own.note(answer(3), 0.000_02);
  own.note(answer(3), 3);
  upstream.note(answer(2), 0.02);
  // Nothing came back that could be told.
  upstream.note(undefined, 4);
  const counts: NamesCounts = {
    ...{ own, upstream, stranger: 1, flood: 2, overloaded: 3, merged: 4, failed: 5, waiting: 6 },
    ...{ cpuSeconds: 7, residentBytes: 8 },
  };
  const metrics = dnsMetrics(JSON.parse(JSON.stringify(counts))) as Extract<
    ReturnType<typeof dnsMetrics>,
    { readonly dnsAnswers: unknown }
  >;
  expect(metrics).toMatchObject({
    namesUp: 1,
    dnsOverloaded: 3,
    dnsMerged: 4,
    dnsFailed: 5,
    dnsWaiting: 6,
    namesCpu: 7,
  });
  expect(metrics.dnsAnswers).toEqual([
    { labels: { source: 'own', rcode: 'NOERROR' }, value: 1 },
    { labels: { source: 'own', rcode: 'SERVFAIL' }, value: 0 },
    { labels: { source: 'own', rcode: 'NXDOMAIN' }, value: 2 },
    { labels: { source: 'upstream', rcode: 'NOERROR' }, value: 0 },
    { labels: { source: 'upstream', rcode: 'SERVFAIL' }, value: 1 },
    { labels: { source: 'upstream', rcode: 'NXDOMAIN' }, value: 0 },
  ]);
  expect(metrics.dnsDropped.map(({ value }) => value)).toEqual([1, 2]);
  const [ofOwn, ofUpstream] = metrics.dnsDuration.map(({ value }) => value as HistogramCounts);
  expect([ofOwn?.counts[0], ofOwn?.counts.at(-1), ofUpstream?.sum]).toEqual([2, 1, 4.02]);
});

it('tells a process that does not answer from one that does not know the question', () => {
  expect(dnsMetrics(undefined)).toEqual({ namesUp: 0 });
  expect(dnsMetrics('unknown')).toEqual({ namesUp: 1 });
});
