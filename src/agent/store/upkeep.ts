/** Looks after the file of this host's member of the bundled etcd, as `store-upkeep.ts` says. */
import { asOverlaydError } from '../../core/errors.ts';
import { nodeOfMember } from '../../core/store-members.ts';
import { type MemberFile, planUpkeep, STORE_QUOTA_BYTES, type Upkeep } from '../../core/store-upkeep.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { StoreMaintenance, StoreMember, StoreMembership } from '../../ports/store.ts';
import { type AskDeps, askMembers, type SeenMember } from './seen-members.ts';

export interface UpkeepDeps extends Pick<AskDeps, 'view'> {
  /** Node id, by which etcd knows this host's member. */
  readonly selfId: string;
  readonly membership: StoreMembership & StoreMaintenance;
  /** Of the store, as far as this node knows. */
  readonly revision: () => number;
  readonly isFollowed: () => boolean;
  readonly clock: Pick<Clock, 'elapsed' | 'sleep'>;
  readonly logger: Logger;
}

const LOOK_MS = 60_000;
/** After something was done, or while etcd is full. */
const AGAIN_MS = 2_000;
const COMPACTED_MS = 300_000;

export class StoreUpkeep {
  readonly #deps: UpkeepDeps;
  readonly #quotaBytes: number;
  #compactedAt = Number.NEGATIVE_INFINITY;

  constructor(deps: UpkeepDeps, options: { readonly quotaBytes?: number } = {}) {
    this.#deps = deps;
    this.#quotaBytes = options.quotaBytes ?? STORE_QUOTA_BYTES;
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, isFollowed, logger } = this.#deps;
    while (!signal.aborted) {
      let waitMs = LOOK_MS;
      try {
        if (isFollowed() && (await this.step())) waitMs = AGAIN_MS;
      } catch (error) {
        if (signal.aborted) return;
        logger.info({ reason: asOverlaydError(error).message }, "etcd's file is not looked after, trying again");
      }
      await clock.sleep(waitMs, signal, 'loosely').catch(() => undefined);
    }
  }

  /** Looks, and does one thing. True: it is to be looked at again soon. */
  async step(): Promise<boolean> {
    const { clock, membership } = this.#deps;
    const all = await membership.members();
    // Hosts that keep nothing may be a thousand.
    if (!all.some((member) => this.#isOwn(member))) return false;
    const seen = await askMembers(this.#deps, all);
    const members = seen.map((each) => this.#fileOf(each));
    const compacted = clock.elapsed() - this.#compactedAt < COMPACTED_MS;
    const step = planUpkeep(members, { compacted, quotaBytes: this.#quotaBytes });
    if (step.kind !== 'none') await this.#do(step, seen);
    return step.kind !== 'none' || members.some(({ isFull }) => isFull);
  }

  #isOwn(member: StoreMember, node = nodeOfMember(member, this.#deps.view.nodes())): boolean {
    return (node?.id ?? member.name) === this.#deps.selfId;
  }

  #fileOf({ member, node, status }: SeenMember): MemberFile {
    return {
      id: member.id,
      own: this.#isOwn(member, node),
      votes: !member.isLearner,
      leads: status?.leaderId === member.id,
      file: status && { bytes: status.dbSize, bytesInUse: status.dbSizeInUse },
      isFull: status?.alarms.includes('NOSPACE') ?? false,
    };
  }

  async #do(step: Exclude<Upkeep, { kind: 'none' }>, seen: readonly SeenMember[]): Promise<void> {
    const { clock, logger, membership, revision } = this.#deps;
    const own = seen.find(({ member, node }) => this.#isOwn(member, node))!;
    const { dbSize: bytes, dbSizeInUse: bytesInUse } = own.status!;
    const event = `store-${step.kind}` as const;
    switch (step.kind) {
      case 'compact':
        logger.warn({ event, bytes, bytesInUse }, 'etcd is full: its history is dropped');
        await membership.compact(revision());
        this.#compactedAt = clock.elapsed();
        return;
      case 'hand-over':
        logger.info({ event, to: step.to }, "another member of etcd leads while this one's file is put in order");
        return await membership.handOver(own.member.id, step.to);
      case 'defragment':
        logger.info({ event, bytes, bytesInUse }, 'what is free in the file of etcd goes back to the disk');
        return await membership.defragment(own.member.clientUrls[0]!);
      case 'disarm':
        logger.warn({ event, bytes, bytesInUse }, 'etcd has room again, and takes writes');
        this.#compactedAt = Number.NEGATIVE_INFINITY;
        return await membership.disarm();
    }
  }
}
