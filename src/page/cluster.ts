/** The cluster as signals: what the server tells, once a frame at most, however much changes. */
import { batch, effect, signal } from '@preact/signals';
import { ClusterTable } from '../core/page/cluster-table.ts';
import type { ClusterChange, ClusterState, EventRow, Kind, Overview, Rows } from '../core/page/contract.ts';
import { ask, type Refused, read } from './server.ts';

export type Connection = 'loading' | 'live' | 'lost' | 'locked';

interface ToldEvents {
  readonly begins: boolean;
  readonly events: readonly EventRow[];
  readonly away: readonly string[];
}

export const table = new ClusterTable();
export const overview = signal<Overview | undefined>(undefined);
export const connection = signal<Connection>('loading');
/** Why it is not live, in words. */
export const trouble = signal('');
/** Newest first. */
export const events = signal<readonly EventRow[]>([]);
export const eventsAway = signal<readonly string[]>([]);
/** Set by the view that shows them: the server asks all hosts for them. */
export const eventsWanted = signal(false);

const MOST_EVENTS = 1_000;
const AGAIN_MS = 2_000;

const ticks: Readonly<Record<Kind, ReturnType<typeof signal<number>>>> = {
  hosts: signal(0),
  paths: signal(0),
  networks: signal(0),
  endpoints: signal(0),
};

/** In the order of names; whoever reads it is told when one changes. */
export function rows<K extends Kind>(kind: K): readonly Rows[K][] {
  watch(kind);
  return table.sorted(kind);
}

export function row<K extends Kind>(kind: K, id: string): Rows[K] | undefined {
  watch(kind);
  return table.get(kind, id);
}

export function endpointsOf(of: 'network' | 'host', id: string): readonly Rows['endpoints'][] {
  watch('endpoints');
  return table.endpointsOf(of, id);
}

export function watch(kind: Kind): number {
  return ticks[kind].value ?? 0;
}

const touched = new Set<Kind>();
let frame = 0;

/** Not for each change: a burst of them is drawn once. */
function touch(kinds: readonly Kind[]): void {
  for (const kind of kinds) touched.add(kind);
  if (frame !== 0) return;
  frame = requestAnimationFrame(() => {
    frame = 0;
    batch(() => {
      for (const kind of touched) ticks[kind].value = (ticks[kind].peek() ?? 0) + 1;
      overview.value = table.overview;
    });
    touched.clear();
  });
}

let stream: EventSource | undefined;
/** Changes that came while the state was on its way. */
let early: ClusterChange[] | undefined;

export async function start(): Promise<void> {
  await logIn();
  // The next link, given to a page that is open: no browser loads it anew for that.
  addEventListener('hashchange', () => {
    if (LOGIN.test(location.hash)) void logIn().then(begin);
  });
  // A page in the background costs nobody anything.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) stop();
    else if (!stream) void begin();
  });
  let before = eventsWanted.peek();
  effect(() => {
    if (eventsWanted.value === before) return;
    before = eventsWanted.value;
    if (stream) listen();
  });
  await begin();
}

const LOGIN = /^#login=([\w-]+)$/;

/** By the secret of the link, which no log sees: it is behind the `#`. */
async function logIn(): Promise<void> {
  const secret = LOGIN.exec(location.hash)?.[1];
  if (secret === undefined) return;
  history.replaceState(null, '', location.pathname);
  try {
    await ask('api/login', { secret });
  } catch (error) {
    trouble.value = (error as Error).message;
  }
}

async function begin(): Promise<void> {
  early ??= [];
  try {
    const state = await read<ClusterState>('api/state');
    table.begin(state);
    for (const change of early) table.apply(change);
    early = undefined;
    touch(['hosts', 'paths', 'networks', 'endpoints']);
    if (!stream) listen();
  } catch (error) {
    early = undefined;
    const { status, message } = error as Refused;
    if (status === 401) {
      connection.value = 'locked';
      trouble.value ||= message;
      return;
    }
    connection.value = 'lost';
    trouble.value = message;
    setTimeout(() => void (document.hidden || begin()), AGAIN_MS);
  }
}

function stop(): void {
  stream?.close();
  stream = undefined;
}

function listen(): void {
  stop();
  const wanted = eventsWanted.peek() ? '&events=1' : '';
  const source = new EventSource(`api/changes?run=${table.run}&after=${table.revision}${wanted}`);
  stream = source;
  source.addEventListener('open', () => {
    connection.value = 'live';
    trouble.value = '';
  });
  source.addEventListener('change', ({ data }: MessageEvent<string>) => {
    const change = JSON.parse(data) as ClusterChange;
    if (early) early.push(change);
    else touch(table.apply(change));
  });
  source.addEventListener('begin', () => void begin());
  source.addEventListener('events', ({ data }: MessageEvent<string>) => hear(JSON.parse(data) as ToldEvents));
  source.addEventListener('error', () => {
    connection.value = 'lost';
    trouble.value = 'the process that serves this page does not answer: is `overlayd ui` still running?';
    if (source.readyState !== EventSource.CLOSED || stream !== source) return;
    stop();
    setTimeout(() => void (document.hidden || begin()), AGAIN_MS);
  });
}

function hear({ begins, events: told, away }: ToldEvents): void {
  const newest = told.toReversed();
  batch(() => {
    events.value = begins ? newest : [...newest, ...events.peek()].slice(0, MOST_EVENTS);
    eventsAway.value = away;
  });
}
