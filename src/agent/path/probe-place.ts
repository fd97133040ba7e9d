/**
 * Where probes come in and leave: made anew at the start, and when something took it away; with a way to each member. What fails is
 * told once and tried again.
 */
import type { Op } from '../../core/host-state.ts';
import { PROBE_PLACE, PROBE_PORT, placeOps, removalOps, wayOps } from '../../core/path/probe.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { Kernel } from '../../ports/kernel.ts';
import type { OpenPathSocket, PathSocket } from '../../ports/path.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';

export interface ProbePlaceDeps {
  readonly self: () => NodeRecord;
  readonly kernel: Pick<Kernel, 'apply'>;
  readonly open: OpenPathSocket;
  readonly clock: Pick<Clock, 'elapsed'>;
  readonly logger: Pick<Logger, 'warn' | 'debug'>;
  readonly onMessage: (data: Uint8Array, from: string) => void;
}

const RETRY_MS = 10_000;
/** What the kernel says when the device or its addresses are gone. */
const GONE = ['ENETUNREACH', 'EHOSTUNREACH', 'ENETDOWN', 'ENODEV', 'EADDRNOTAVAIL', 'EINVAL'];

type Way = Pick<NodeRecord, 'id' | 'vtep' | 'dataPathPort'>;

export class ProbePlace {
  readonly #deps: ProbePlaceDeps;
  #socket: PathSocket | undefined;
  #ways = new Map<string, Way>();
  #mtu = 0;
  #triedAt = Number.NEGATIVE_INFINITY;
  #problem: string | undefined;

  constructor(deps: ProbePlaceDeps) {
    this.#deps = deps;
  }

  get isOpen(): boolean {
    return this.#socket !== undefined;
  }

  /** In words, why it is not open. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Ways to `members` and no others, through a device of that MTU. Never throws. */
  async keep(mtu: number, members: readonly NodeRecord[]): Promise<void> {
    try {
      if (!this.#socket) await this.#open(mtu);
      if (!this.#socket) return;
      const ops = [...this.#mtuOps(mtu), ...this.#wayOps(members)];
      if (ops.length === 0) return;
      await apply(this.#deps.kernel, [ops]);
      this.#mtu = mtu;
      this.#ways = new Map(members.map(({ id, vtep, dataPathPort }) => [id, { id, vtep, dataPathPort }]));
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  send(data: Uint8Array, address: string): void {
    this.#socket?.send(data, address);
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  async #open(mtu: number): Promise<void> {
    const { clock, kernel, onMessage, open, self } = this.#deps;
    if (clock.elapsed() - this.#triedAt < RETRY_MS) return;
    this.#triedAt = clock.elapsed();
    this.#ways.clear();
    this.#mtu = mtu;
    await apply(kernel, removalOps()).catch(() => undefined);
    await apply(kernel, placeOps(self(), mtu));
    const bound = { address: self().vtep, port: PROBE_PORT };
    this.#socket = open(PROBE_PLACE, bound, { message: onMessage, failed: (error) => this.#failed(error) });
    this.#problem = undefined;
  }

  #failed(error: Error): void {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (GONE.includes(code)) this.#fail(error);
  }

  #fail(error: Error): void {
    const { logger } = this.#deps;
    this.close();
    if (this.#problem !== error.message)
      logger.warn({ error }, 'packets that see whether the data path works cannot be sent, trying again');
    this.#problem = error.message;
  }

  #mtuOps(mtu: number): readonly Op[] {
    return mtu === this.#mtu ? [] : [{ kind: 'set-link', at: PROBE_PLACE, name: 'vx0', set: { mtu } }];
  }

  #wayOps(members: readonly NodeRecord[]): readonly Op[] {
    const wanted = new Map(members.map((member) => [member.id, member]));
    const same = (one: Way | undefined, other: Way | undefined) =>
      one?.vtep === other?.vtep && one?.dataPathPort === other?.dataPathPort;
    const gone = [...this.#ways.values()].filter((way) => !same(way, wanted.get(way.id)));
    const come = members.filter((member) => !same(member, this.#ways.get(member.id)));
    return [...gone.flatMap((way) => wayOps(way, false)), ...come.flatMap((way) => wayOps(way, true))];
  }
}

/** Takes away what there is of it. */
export async function clearProbePlace(kernel: Pick<Kernel, 'apply'>): Promise<void> {
  await apply(kernel, removalOps());
}

/** Throws the first failure. */
async function apply(kernel: Pick<Kernel, 'apply'>, stages: readonly (readonly Op[])[]): Promise<void> {
  const planned = stages.map((ops) => ({
    essential: true,
    ops: ops.map((op) => ({ op, reason: 'create' as const, network: undefined, endpointId: undefined })),
  }));
  const { failures } = await kernel.apply({ stages: planned, gone: [] });
  if (failures[0]) throw failures[0].error;
}
