/** What the page asks of the agent, besides what it is told anyway. */
import type { ClusterView } from '../core/cluster-view.ts';
import { OverlaydError } from '../core/errors.ts';
import { parseIp } from '../core/ip.ts';
import type { DriftLooked, DriftRow, NameAnswered } from '../core/page/contract.ts';
import type { DiagnoseRequest, Diagnosis, HostDrift } from '../gen/overlayd/v1/control.ts';
import type { Drift } from '../gen/overlayd/v1/drift.ts';
import { VERSION } from '../version.ts';
import type { Actions } from './page-server.ts';
import { shortId } from './rows.ts';
import { type WalkDeps, type WalkedAgent, walk } from './walk.ts';

export interface AskedAgent extends WalkedAgent {
  diagnose(request: DiagnoseRequest): Promise<Diagnosis>;
}

export interface ActionsDeps extends Pick<WalkDeps, 'problemOf'> {
  readonly agent: AskedAgent;
  readonly view: () => ClusterView;
}

type Body = Readonly<Record<string, unknown>>;

export function pageActions({ agent, view, problemOf }: ActionsDeps, { writable }: { writable: boolean }): Actions {
  const drift = async (repair: boolean) => {
    const told: HostDrift[] = [];
    await agent.findDrift({ network: '', node: '', repair }, (part) => told.push(part));
    return lookedOf(told);
  };
  return {
    diagnose: ({ peer = '', network = '' }) =>
      agent.diagnose({ peer: text(peer), network: text(network), commandVersion: VERSION }),
    reach: (body) => {
      const [from, to] = [endpointOf(view(), text(body.from)), endpointOf(view(), text(body.to))];
      return walk({ view: view(), agent, problemOf }, from, to);
    },
    name: (body) => askName(agent, view(), body),
    drift: () => drift(false),
    ...(writable && { repair: () => drift(true) }),
  };
}

async function askName(agent: AskedAgent, view: ClusterView, body: Body): Promise<NameAnswered> {
  const networkId = idOf(view.networks(), text(body.network), 'network');
  const nodeId = idOf(view.nodes(), text(body.host), 'host');
  const asked = { name: nameOf(text(body.name), text(body.type)), type: text(body.type) };
  const look = { network: networkId, endpoint: '', pathTo: '', reach: '', name: asked };
  const { things, name: reply } = await agent.lookFrom({ node: nodeId, look });
  const [seen] = things;
  const outcome = seen?.outcome === 'ok' || seen?.outcome === 'problem' ? seen.outcome : 'skipped';
  return { outcome, detail: seen?.detail ?? '', ...(reply && { reply }) };
}

/** Of an address the name that its pointers have. */
function nameOf(name: string, type: string): string {
  const ip = type === 'PTR' ? parseIp(name) : undefined;
  if (ip?.family === 4) return `${name.split('.').reverse().join('.')}.in-addr.arpa`;
  if (ip?.family === 6) return `${[...ip.value.toString(16).padStart(32, '0')].reverse().join('.')}.ip6.arpa`;
  return name;
}

/** An id as pages have it, which are shorter. */
function idOf(all: Iterable<{ readonly id: string }>, short: string, what: string): string {
  for (const { id } of all) if (shortId(id) === short) return id;
  throw new OverlaydError('invalid-argument', `there is no such ${what} any more`);
}

function endpointOf(view: ClusterView, short: string) {
  for (const { id } of view.networks()) {
    for (const record of view.endpointsOn(id)) if (shortId(record.id) === short) return record;
  }
  throw new OverlaydError('endpoint-not-found', 'there is no such endpoint any more');
}

function lookedOf(told: readonly HostDrift[]): DriftLooked {
  const rowsOf = (of: 'differs' | 'repaired') =>
    told.flatMap(({ nodeName, found }) => (found?.[of] ?? []).map((each) => driftRow(nodeName, each)));
  const hosts = new Set(told.filter(({ reason }) => reason === '').map(({ nodeId }) => nodeId));
  return {
    differs: rowsOf('differs'),
    repaired: rowsOf('repaired'),
    away: told.filter(({ reason }) => reason !== '').map(({ nodeName, reason }) => `${nodeName}: ${reason}`),
    answered: hosts.size,
    leftOut: told.reduce((sum, { found }) => sum + (found?.leftOut ?? 0), 0),
  };
}

function driftRow(host: string, { place, sinceMs: since, ...drift }: Drift): DriftRow {
  return {
    ...drift,
    host,
    since,
    id: `${host}/${drift.network}/${place}/${drift.kind}/${drift.object}/${drift.state}`,
  };
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new OverlaydError('invalid-argument', 'what is asked is to be text');
}
