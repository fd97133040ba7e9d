/**
 * Where probes come in and leave: made anew at the start, and when something took it away; with a way to each member. What fails is
 * told once and tried again.
 */
import type { Op } from '../../core/host-state.ts';
import type { ChecksumCounts } from '../../core/path/checksums.ts';
import {
  PROBE_PLACES,
  PROBE_PORT,
  type ProbeWay,
  placeOps,
  probeAddressOf,
  removalOps,
  wayOps,
} from '../../core/path/probe.ts';
import type { NodeRecord } from '../../core/records.ts';
import { type Backend, tunnelEndOf } from '../../core/underlay.ts';
import type { Kernel } from '../../ports/kernel.ts';
import type { OpenPathSocket, PathSocket } from '../../ports/path.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';

export interface ProbePlaceDeps {
  /** What its packets go through. */
  readonly backend: Backend;
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

export class ProbePlace {
  readonly #deps: ProbePlaceDeps;
  #socket: PathSocket | undefined;
  #ways = new Map<string, ProbeWay>();
  /** Where the device's socket was made. */
  #socketsAt = '';
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

  /**
   * These ways and no others, through a device of that MTU. `socketsAt`: which instance of the namespace it is in which the device has
   * its socket; where that has become another one, the device is made anew. Never throws.
   */
  async keep(mtu: number, ways: readonly ProbeWay[], socketsAt: string): Promise<void> {
    try {
      if (this.#socket && socketsAt !== this.#socketsAt) {
        this.close();
        this.#triedAt = Number.NEGATIVE_INFINITY;
      }
      if (!this.#socket) await this.#open(mtu, socketsAt);
      if (!this.#socket) return;
      const ops = [...this.#mtuOps(mtu), ...this.#wayOps(ways)];
      if (ops.length === 0) return;
      await apply(this.#deps.kernel, [ops]);
      this.#mtu = mtu;
      this.#ways = new Map(ways.map((way) => [way.id, way]));
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  send(data: Uint8Array, address: string): void {
    this.#socket?.send(data, address);
  }

  /** As of {@link PathSocket}. */
  checksumErrors(): ChecksumCounts | undefined {
    return this.#socket?.checksumErrors();
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  get #at(): string {
    return PROBE_PLACES[this.#deps.backend];
  }

  async #open(mtu: number, socketsAt: string): Promise<void> {
    const { backend, clock, kernel, onMessage, open, self } = this.#deps;
    const address = probeAddressOf(backend, self());
    if (address === undefined) return;
    if (clock.elapsed() - this.#triedAt < RETRY_MS) return;
    this.#triedAt = clock.elapsed();
    this.#ways.clear();
    this.#mtu = mtu;
    this.#socketsAt = socketsAt;
    await apply(kernel, removalOps(this.#at)).catch(() => undefined);
    await apply(kernel, placeOps(this.#at, { id: self().id, address }, tunnelEndOf(backend, self()), mtu));
    const bound = { address, port: PROBE_PORT };
    this.#socket = open(this.#at, bound, { message: onMessage, failed: (error) => this.#failed(error) });
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
    return mtu === this.#mtu ? [] : [{ kind: 'set-link', at: this.#at, name: 'vx0', set: { mtu } }];
  }

  #wayOps(ways: readonly ProbeWay[]): readonly Op[] {
    const wanted = new Map(ways.map((way) => [way.id, way]));
    const same = (one: ProbeWay | undefined, other: ProbeWay | undefined) =>
      one?.address === other?.address && one?.remote === other?.remote && one?.port === other?.port;
    const gone = [...this.#ways.values()].filter((way) => !same(way, wanted.get(way.id)));
    const come = ways.filter((way) => !same(way, this.#ways.get(way.id)));
    return [
      ...gone.flatMap((way) => wayOps(this.#at, way, false)),
      ...come.flatMap((way) => wayOps(this.#at, way, true)),
    ];
  }
}

/** Takes away what there is of all. */
export async function clearProbePlaces(kernel: Pick<Kernel, 'apply'>): Promise<void> {
  for (const at of Object.values(PROBE_PLACES)) await apply(kernel, removalOps(at));
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
