/**
 * `node endpoint-floor.ts PORTS REMOTES ROUNDS`, in a network and a mount namespace of its own (`unshare`): what an attach
 * and a detach have the kernel do, made into ops before, and then nothing but carrying them out, by the calls that the
 * agent makes; and a state file of so many endpoints written. There are PORTS endpoints here and REMOTES elsewhere; with
 * one port the attach is the first one, which makes the network's namespace with all rows. Besides: a namespace without a name
 * made and left. Prints the median milliseconds of so many rounds, after one that does not count, as JSON.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { carryOut } from '../../../src/adapters/kernel/carry-out.ts';
import { Flows } from '../../../src/adapters/kernel/flows.ts';
import { Leave } from '../../../src/adapters/kernel/leave.ts';
import { placeOf } from '../../../src/adapters/kernel/means.ts';
import { Tables } from '../../../src/adapters/kernel/tables.ts';
import { insideNewNamespace } from '../../../src/adapters/native/namespace.ts';
import type { LocalEndpoint } from '../../../src/core/container.ts';
import { desired } from '../../../src/core/desired.ts';
import type { NamespaceState, Observed, Plan } from '../../../src/core/host-state.ts';
import { formatIpv4Number } from '../../../src/core/ip.ts';
import { plan } from '../../../src/core/plan.ts';
import { World } from '../../contract/kernel-world.ts';
import { median } from '../statistics.ts';

const [ports, remotes, rounds] = process.argv.slice(2).map(Number) as [number, number, number];
const VNI = 4242;
const AT = `ovl-${VNI}`;
const FIRST_LOCAL = 0x0ac80002;
const FIRST_REMOTE = 0x0ac81000;
/** What follows from one is over. */
const REST_MS = 100;
/** Of an endpoint. */
const STATE_BYTES = 600;
const EMPTY: NamespaceState = {
  ...{ forwarding: false, forwarding6: false, links: new Map(), filter: undefined },
  ...{ addresses: [], routes: [], neighbours: [], fdb: [] },
};

mkdirSync('/run/netns', { recursive: true });
execFileSync('ip', ['link', 'set', 'lo', 'up']);
execFileSync('ip', ['netns', 'add', 'inside']);

const world = new World('h1');
world.addNode('h1', '127.0.0.1');
world.addNode('h2', '127.0.0.2');
const network = world.addNetwork('bare', { vni: VNI, cidr: '10.200.0.0/16', gateway: '10.200.255.254' });
for (let nth = 0; nth < remotes; nth++) world.addRemote(network, 'h2', formatIpv4Number(FIRST_REMOTE + nth));

let made = 0;
/** Containers whose links are to be made. All are in one namespace, which makes no difference for one link. */
const bare = new Map<string, NamespaceState>();
function add(): LocalEndpoint {
  made += 1;
  const container = { text: 'netns:inside', path: '/run/netns/inside', identity: `inside ${made}` };
  bare.set(container.identity, EMPTY);
  return world.addLocal(network, formatIpv4Number(FIRST_LOCAL + made), container, { ifname: `e${made}` });
}

/** Of the network's namespace; undefined: there is none. */
let state: NamespaceState | undefined;
let host: NamespaceState | undefined = EMPTY;

function planned(): Plan {
  const observed: Observed = {
    namespaces: new Map(state ? [[AT, 'ours']] : []),
    host,
    networks: new Map(state && [[AT, state]]),
    containers: new Map(bare),
  };
  const wanted = desired({ view: world, self: world.self, local: [...world.local.values()] });
  return plan(wanted, observed, { provesAbsence: true });
}

const memory = { tables: new Tables(), flows: new Flows(), looker: { forget: () => undefined }, leave: new Leave() };

/** Milliseconds that the kernel takes for it. */
async function carriedOut(): Promise<number> {
  const { stages, outcomes } = planned();
  const works = stages.map(({ essential, ops }) => ({
    essential,
    works: [...Map.groupBy(ops, ({ op }) => placeOf(op))].map(([place, of]) => ({
      place,
      ops: of.map(({ op }) => op),
    })),
  }));
  const begun = performance.now();
  const refusals = await carryOut(memory, works);
  const ms = performance.now() - begun;
  const refused = refusals.flat()[0];
  if (refused) throw new Error(`the kernel refused: ${refused.error.message}`);
  state = outcomes?.get(AT);
  host = state ? undefined : EMPTY;
  bare.clear();
  return ms;
}

function stateWritten(): number {
  const text = 'x'.repeat(STATE_BYTES * ports);
  const begun = performance.now();
  writeFileSync('/run/state.tmp', text, { mode: 0o600 });
  renameSync('/run/state.tmp', '/run/state');
  return performance.now() - begun;
}

function namespaceMade(): number {
  const begun = performance.now();
  insideNewNamespace(() => undefined);
  return performance.now() - begun;
}

for (let nth = 1; nth < ports; nth++) add();
if (ports > 1) await carriedOut();
const attach: number[] = [];
const detach: number[] = [];
const written: number[] = [];
const namespace: number[] = [];
for (let round = 0; round <= rounds; round++) {
  const { record } = add();
  attach.push(await carriedOut());
  await pause(REST_MS);
  world.remove(record.id);
  detach.push(await carriedOut());
  written.push(stateWritten());
  await pause(REST_MS);
  namespace.push(namespaceMade());
  await pause(REST_MS);
}
const of = (samples: readonly number[]) => median(samples.slice(1));
const [attachMs, detachMs, stateMs, namespaceMs] = [attach, detach, written, namespace].map(of);
process.stdout.write(JSON.stringify({ attachMs, detachMs, stateMs, namespaceMs }));
process.exit();
