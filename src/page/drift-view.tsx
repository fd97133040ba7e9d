/** What kernels hold otherwise than is wanted, on all hosts; and what was put right of late. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { DriftLooked, DriftRow } from '../core/page/contract.ts';
import { events, eventsWanted, overview } from './cluster.ts';
import { Ago, counted, Empty, Mark, Tag } from './parts.tsx';
import { ask } from './server.ts';
import { type Column, VirtualTable } from './virtual-table.tsx';

const COLUMNS: readonly Column<DriftRow>[] = [
  { heading: 'Host', width: '8rem', cell: ({ host }) => host },
  { heading: 'Network', width: '8rem', cell: ({ network }) => network || <span class="faint">the host’s own</span> },
  {
    ...{ heading: 'What', width: 'minmax(12rem, 1.2fr)' },
    cell: ({ kind, object, state }) => (
      <span title={object}>
        <Tag>{state}</Tag> {kind} <span class="address">{object}</span>
      </span>
    ),
  },
  {
    ...{ heading: 'Why it is wanted', width: 'minmax(12rem, 1fr)' },
    cell: ({ why, detail, hindered }) => (
      <span title={`${why}. ${detail} ${hindered}`}>
        {hindered && <Mark tone="warning" />} {hindered || why} <span class="faint">{detail}</span>
      </span>
    ),
  },
  { heading: 'Since', width: '8rem', cell: ({ since }) => <Ago at={since} /> },
];

const REPAIRS = ['kernel-repaired', 'kernel-refused'];
const MOST_LATELY = 8;

export function DriftView() {
  const [looked, setLooked] = useState<DriftLooked | 'looking' | Error | undefined>(undefined);
  const look = (repair: boolean) => {
    setLooked('looking');
    ask<DriftLooked>(repair ? 'api/repair' : 'api/drift', {}).then(setLooked, setLooked);
  };
  useEffect(() => look(false), []);
  const found = looked !== 'looking' && !(looked instanceof Error) ? looked : undefined;
  return (
    <div class="whole">
      <section aria-labelledby="drift-heading">
        <header class="bar">
          <h1 id="drift-heading">Drift</h1>
          <button type="button" disabled={looked === 'looking'} onClick={() => look(false)}>
            {looked === 'looking' ? 'Looking on all hosts…' : 'Look again'}
          </button>
          {overview.value?.writable && (
            <button
              type="button"
              class="main"
              disabled={!found || found.differs.length === 0}
              onClick={() => look(true)}
            >
              Put it right
            </button>
          )}
          <span role="status">{found && <Summary looked={found} />}</span>
        </header>
        <p class="hint">
          What kernels hold otherwise than the cluster’s records say. It is put right by itself within moments; what
          stays here does not let itself be put right, or comes back.
        </p>
        {looked instanceof Error && <p class="refused">{looked.message}</p>}
        {found && found.away.length > 0 && <p class="refused">Not asked: {found.away.join('; ')}</p>}
        {found && found.differs.length === 0 ? (
          <Empty>Every kernel that was looked at holds what it should.</Empty>
        ) : (
          <VirtualTable
            label="What differs"
            columns={COLUMNS}
            rows={found?.differs ?? []}
            idOf={({ id }) => id}
            empty={found ? '' : 'Looking…'}
          />
        )}
        <Lately />
      </section>
    </div>
  );
}

function Summary({ looked: { differs, repaired, answered, leftOut } }: { looked: DriftLooked }) {
  const tone = differs.length > 0 ? 'bad' : 'good';
  const more = leftOut > 0 ? `, and ${leftOut} more` : '';
  return (
    <>
      <Mark tone={tone} /> {counted(differs.length, 'difference')}
      {more} on {counted(answered, 'host')}
      {repaired.length > 0 && `; ${repaired.length} put right now`}
    </>
  );
}

/** As it happens. */
function Lately() {
  useEffect(() => {
    eventsWanted.value = true;
    return () => {
      eventsWanted.value = false;
    };
  }, []);
  const all = events.value;
  const lately = useMemo(() => all.filter(({ type }) => REPAIRS.includes(type)).slice(0, MOST_LATELY), [all]);
  if (lately.length === 0) return null;
  return (
    <section aria-labelledby="lately-heading" class="lately">
      <h3 id="lately-heading">Put right of late</h3>
      <ul>
        {lately.map(({ id, at, host, type, message, fields }) => (
          <li key={id}>
            <Mark tone={type === 'kernel-refused' ? 'bad' : 'good'} /> <Ago at={at} /> on <strong>{host}</strong>:{' '}
            {message} <span class="faint">{fields.join(' ')}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}
