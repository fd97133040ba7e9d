/** What happened on all hosts, and what happens. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { EventRow } from '../core/page/contract.ts';
import type { Tone } from '../core/page/health.ts';
import { events, eventsAway, eventsWanted } from './cluster.ts';
import { Mark } from './parts.tsx';
import { type Column, VirtualTable } from './virtual-table.tsx';

const LEVELS: Readonly<Record<string, Tone>> = { error: 'bad', warn: 'warning', info: 'good' };
const TIME = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });

const COLUMNS: readonly Column<EventRow>[] = [
  {
    ...{ heading: 'Time', width: '8.5rem' },
    cell: ({ at }) => (
      <time class="address" dateTime={new Date(at).toISOString()}>
        {DAY.format(at)} {TIME.format(at)}
      </time>
    ),
  },
  { heading: 'Host', width: '8rem', cell: ({ host }) => host },
  {
    ...{ heading: 'Type', width: '13rem' },
    cell: ({ level, type }) => (
      <>
        <Mark tone={LEVELS[level] ?? 'unknown'} /> {type}
      </>
    ),
  },
  {
    ...{ heading: 'What happened', width: 'minmax(14rem, 1fr)' },
    cell: ({ message, fields }) => (
      <span title={`${message} ${fields.join(' ')}`}>
        {message} <span class="faint">{fields.join(' ')}</span>
      </span>
    ),
  },
];

export function EventsView() {
  const [text, setText] = useState('');
  useEffect(() => {
    eventsWanted.value = true;
    return () => {
      eventsWanted.value = false;
    };
  }, []);
  const all = events.value;
  const found = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0) return all;
    return all.filter(({ host, type, message, fields }) => {
      const line = `${host} ${type} ${message} ${fields.join(' ')}`.toLowerCase();
      return words.every((word) => line.includes(word));
    });
  }, [all, text]);
  return (
    <div class="whole">
      <section aria-labelledby="events-heading">
        <header class="bar">
          <h1 id="events-heading">Events</h1>
          <input
            type="search"
            class="filter"
            aria-label="Filter events"
            placeholder="Filter: type, host, words …"
            value={text}
            onInput={({ currentTarget }) => setText(currentTarget.value)}
          />
        </header>
        <Heard />
        {eventsAway.value.length > 0 && <p class="hint">Without the events of {eventsAway.value.join('; ')}</p>}
        <VirtualTable
          label="Events, the newest first"
          columns={COLUMNS}
          rows={found}
          idOf={({ id }) => id}
          empty="Nothing is remembered yet."
        />
      </section>
    </div>
  );
}

/** For who does not see the table: what is new, no oftener than it can be said. */
const SAY_MS = 3_000;

function Heard() {
  const [said, say] = useState('');
  useEffect(() => {
    let last: string | undefined;
    const timer = setInterval(() => {
      const all = events.peek();
      const [newest] = all;
      const fresh = all.findIndex(({ id }) => id === last);
      const more = fresh === -1 ? all.length - 1 : fresh - 1;
      const isNew = last !== undefined && newest !== undefined && fresh !== 0;
      last = newest?.id ?? '';
      if (!isNew) return;
      say(`${newest.host}: ${newest.type}, ${newest.message}${more > 0 ? `, and ${more} more` : ''}`);
    }, SAY_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <p class="hidden" role="log" aria-label="What just happened">
      {said}
    </p>
  );
}
