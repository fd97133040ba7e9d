/** The frame around the views. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { connection, overview, trouble } from './cluster.ts';
import { DriftView } from './drift-view.tsx';
import { EndpointsView } from './endpoints-view.tsx';
import { EventsView } from './events-view.tsx';
import { HostsView } from './hosts-view.tsx';
import { NamesView } from './names-view.tsx';
import { NetworksView } from './networks-view.tsx';
import { Mark } from './parts.tsx';
import { ReachView } from './reach-view.tsx';
import { linkTo, route, type View } from './route.ts';
import { SearchBox } from './search-box.tsx';

const VIEWS: readonly (readonly [View, string, () => JSX.Element])[] = [
  ['hosts', 'Hosts', HostsView],
  ['networks', 'Networks', NetworksView],
  ['endpoints', 'Endpoints', EndpointsView],
  ['reach', 'Reach', ReachView],
  ['names', 'Names', NamesView],
  ['drift', 'Drift', DriftView],
  ['events', 'Events', EventsView],
];

export function App() {
  const { view } = route.value;
  const [, title, Shown] = VIEWS.find(([name]) => name === view)!;
  const main = useRef<HTMLElement>(null);
  useEffect(() => {
    document.title = `${title} – overlayd`;
  }, [title]);
  if (connection.value === 'locked') return <Locked />;
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header class="top">
        <span class="brand">overlayd</span>
        <Cluster />
        <SearchBox />
        <Live />
      </header>
      <nav aria-label="Views">
        {VIEWS.map(([name, text]) => (
          <a key={name} href={linkTo(name)} aria-current={name === view ? 'page' : undefined}>
            {text}
          </a>
        ))}
      </nav>
      <main ref={main} tabIndex={-1}>
        <Away />
        {overview.value === undefined ? <p class="empty">Asking the agent…</p> : <Shown />}
      </main>
    </>
  );
}

function Cluster() {
  const known = overview.value;
  if (!known) return <span />;
  if (known.cluster === '') return <span class="faint">no cluster</span>;
  return (
    <span class="cluster" title={`Cluster ${known.cluster}`}>
      <Mark tone={known.state === 'ready' ? 'good' : known.state === 'degraded' ? 'bad' : 'warning'} /> {known.host}{' '}
      <span class="faint">
        {known.state}, {known.version}
      </span>
    </span>
  );
}

function Live() {
  const state = connection.value;
  const words = { live: 'live', loading: 'loading', lost: 'not connected', locked: 'locked' }[state];
  return (
    <span class="live" role="status">
      <Mark tone={state === 'live' ? 'good' : state === 'loading' ? 'unknown' : 'bad'} /> {words}
    </span>
  );
}

/** What is shown is of before. */
function Away() {
  const known = overview.value;
  const why = connection.value === 'lost' ? trouble.value : known?.away;
  const isNone = known && known.cluster === '' && known.away === '' && known.state !== 'starting';
  return (
    <div role="alert">
      {why && <p class="banner">{why}. What is shown is of before.</p>}
      {isNone && <p class="banner">This host is no member of a cluster: overlayd init, or overlayd join.</p>}
    </div>
  );
}

function Locked() {
  return (
    <main class="locked">
      <h1>overlayd</h1>
      <p>
        This page opens with the link that <code>overlayd ui</code> printed. Each link works once; the next one is
        printed then.
      </p>
      <p class="faint">{trouble.value}</p>
    </main>
  );
}
