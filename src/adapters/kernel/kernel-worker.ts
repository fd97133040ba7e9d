/**
 * Entry of the kernel's thread. It alone asks and changes the kernel: calls that block for as long as the kernel takes, up to
 * tens of milliseconds for thousands of rows, which the agent's own thread has names to answer in. It keeps nothing that
 * could not be asked for again.
 */
import { getHeapStatistics } from 'node:v8';
import { parentPort, threadId, workerData } from 'node:worker_threads';
import { HOST } from '../../core/host-state.ts';
import { freeNftables, takeTurns } from '../native/libnftables.ts';
import { joinHost } from '../native/namespace.ts';
import { carryOut } from './carry-out.ts';
import { endConnections, endSilent } from './connections.ts';
import { readCounters } from './counters.ts';
import { Flows } from './flows.ts';
import { askRouting } from './host-routing.ts';
import type { FromThread, JobName, Jobs, Outcome, ToThread } from './jobs.ts';
import { findLacks } from './lacks.ts';
import { Leave } from './leave.ts';
import { findUplinks, Looker } from './look.ts';
import { plainError } from './plain-error.ts';
import { runRules, Tables } from './tables.ts';
import { carryOutWireguard, hasWireguardModule, lookAtWireguard } from './wireguard.ts';

export interface KernelWorkerInput {
  /** A process of the host that is acted upon, where that is another one than this process's. */
  readonly hostPid: number | undefined;
  /** Of all such threads of this process; see `takeTurns`. */
  readonly nftablesTurn: SharedArrayBuffer;
  /** Of `Leave`: nobody wants to hear more of this thread, and another one acts instead of it. */
  readonly leave: SharedArrayBuffer;
}

const { hostPid, nftablesTurn, leave: shared } = workerData as KernelWorkerInput;
const leave = new Leave(shared);
takeTurns(nftablesTurn, threadId);
if (hostPid !== undefined) joinHost(hostPid);

const tables = new Tables();
const flows = new Flows();
const looker = new Looker(tables);

const handlers: { [K in JobName]: (ask: Jobs[K]['ask']) => Jobs[K]['tell'] | Promise<Jobs[K]['tell']> } = {
  lacks: (wanted) => findLacks(wanted),
  routing: (question) => askRouting(question),
  uplinks: () => findUplinks(),
  look: (request) => looker.look(request),
  carryOut: (stages) => carryOut({ tables, flows, looker, leave }, stages),
  beside: (place) => looker.lookBeside(place),
  filters: (questions) => questions.map((question) => tables.answer(question)),
  rules: ({ command }) => {
    const { ok, output } = runRules(HOST, command);
    return ok ? output : undefined;
  },
  counters: () => readCounters(),
  listFlows: () => flows.begin().then(() => undefined),
  endConnections: (unwelcome) => endConnections(unwelcome),
  endSilent: (silent) => endSilent(silent),
  wireguardModule: () => hasWireguardModule(),
  wireguardLook: () => lookAtWireguard(),
  wireguardSteps: (steps) => carryOutWireguard(steps),
};

async function answer({ job, ask }: ToThread): Promise<Outcome> {
  try {
    const handle = handlers[job] as (ask: unknown) => Jobs[JobName]['tell'] | Promise<Jobs[JobName]['tell']>;
    return { ok: true, tell: await handle(ask) };
  } catch (error) {
    return { ok: false, error: plainError(error) };
  }
}

parentPort?.on('message', async (message: ToThread | undefined) => {
  if (leave.asked || !message) {
    // Without it the thread ends, once what it has under way is done.
    parentPort?.close();
    freeNftables();
    return;
  }
  const outcome = await answer(message);
  const told: FromThread = { id: message.id, heapBytes: getHeapStatistics().used_heap_size, ...outcome };
  parentPort?.postMessage(told);
});
