/** What the process that answers names has counted, as metrics. Pure. */
import { ANSWER_SOURCES, type NamesCounts, rcodeName } from '../dns/names-counts.ts';
import { type Sample, samplesOf } from './family.ts';

/** Told before there is one, so that the first is seen to be one more. The others are rare. */
const USUAL = ['NOERROR', 'SERVFAIL', 'NXDOMAIN'];

/** `unknown`: it answers, and does not say; undefined: it does not answer. */
export function dnsMetrics(counts: NamesCounts | 'unknown' | undefined) {
  if (counts === undefined || counts === 'unknown') return { namesUp: counts === undefined ? 0 : 1 };
  const answers = ANSWER_SOURCES.flatMap((source) =>
    counts[source].rcodes.flatMap((value, code): Sample[] => {
      const rcode = rcodeName(code);
      return value > 0 || USUAL.includes(rcode) ? [{ labels: { source, rcode }, value }] : [];
    }),
  );
  return {
    namesUp: 1,
    dnsAnswers: answers,
    dnsDuration: ANSWER_SOURCES.map((source): Sample => ({ labels: { source }, value: counts[source].seconds })),
    dnsDropped: samplesOf('reason', [
      ['stranger', counts.stranger],
      ['flood', counts.flood],
    ]),
    ...{
      dnsOverloaded: counts.overloaded,
      dnsMerged: counts.merged,
      dnsFailed: counts.failed,
      dnsWaiting: counts.waiting,
    },
    ...{ namesCpu: counts.cpuSeconds, namesMemory: counts.residentBytes },
  };
}
