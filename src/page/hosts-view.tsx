/** Hosts as a map, and what is known of the chosen one. */
import { useMemo, useState } from 'preact/hooks';
import type { HostRow } from '../core/page/contract.ts';
import { healthOf, type Tone } from '../core/page/health.ts';
import { overview, rows, table, watch } from './cluster.ts';
import { HostDetail } from './host-detail.tsx';
import { HostMap } from './host-map.tsx';
import { Ago, counted, Empty, Mark } from './parts.tsx';
import { route } from './route.ts';

const TONES: readonly (readonly [Tone, string])[] = [
  ['good', 'well'],
  ['warning', 'impaired'],
  ['bad', 'lost'],
  ['unknown', 'not known'],
];

export function HostsView() {
  const hosts = rows('hosts');
  const paths = watch('paths');
  const [shown, setShown] = useState<Tone | undefined>(undefined);
  const byTone = useMemo(
    () => Map.groupBy(hosts, (host) => healthOf(host, table.get('paths', host.id)).tone),
    [hosts, paths],
  );
  const { item } = route.value;
  const chosen = hosts.find(({ name }) => name === item);
  const listed: readonly HostRow[] = shown ? (byTone.get(shown) ?? []) : hosts;
  return (
    <div class={chosen ? 'split' : 'whole'}>
      <section aria-labelledby="hosts-heading">
        <header class="bar">
          <h1 id="hosts-heading">{counted(hosts.length, 'host')}</h1>
          <fieldset class="choices">
            <legend class="hidden">Show</legend>
            {TONES.map(([tone, words]) => (
              <button
                key={tone}
                type="button"
                aria-pressed={shown === tone}
                onClick={() => setShown(shown === tone ? undefined : tone)}
              >
                <Mark tone={tone} /> {byTone.get(tone)?.length ?? 0} {words}
              </button>
            ))}
          </fieldset>
        </header>
        <Findings />
        <p class="hint">
          Paths are seen from {overview.value?.host || 'this host'}: packets through the data path, and what members say
          of each other.
        </p>
        {listed.length > 0 ? <HostMap hosts={listed} chosen={item} /> : <Empty>There is no such host.</Empty>}
      </section>
      {chosen && <HostDetail key={chosen.id} host={chosen} />}
    </div>
  );
}

function Findings() {
  const findings = overview.value?.findings ?? [];
  if (findings.length === 0) return null;
  return (
    <section class="findings" aria-label="What is wrong">
      {findings.map(({ code, subject, text, mend, since }) => (
        <details key={`${code} ${subject} ${text}`}>
          <summary>
            <Mark tone="bad" /> <span>{text}</span>
          </summary>
          <p>
            Mend: {mend}.{' '}
            <span class="faint">
              {code}, since <Ago at={since} />
            </span>
          </p>
        </details>
      ))}
    </section>
  );
}
