/**
 * This host's part in keeping the store: its etcd begins when a keeper has added it, goes on for as long as it is one of the
 * members, and is set aside when it is one no more. What the identity file says is written before etcd begins and after it has
 * ended, so that whatever crashes goes on. Besides, where this host asks the store follows who keeps it; nothing restarts.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { isOverlaydError } from '../../core/errors.ts';
import { Latch } from '../../core/latch.ts';
import { levelOf, STORE_LEVEL } from '../../core/levels.ts';
import type { StoreChange } from '../../core/records.ts';
import { clientUrlOf, peerUrlOf, storeEndpoints } from '../../core/store-members.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { EtcdServer, StoreMaintenance, StoreMember, StoreMembership } from '../../ports/store.ts';
import { etcdSettingsOf, type Identity } from '../cluster/identity.ts';
import { keepLooking } from '../cluster/keep-looking.ts';
import type { OwnIdentity } from '../cluster/own-identity.ts';

export interface OwnMemberDeps {
  readonly own: OwnIdentity;
  readonly view: ClusterView;
  /** etcd delivers: what the view says is its word of this moment. */
  readonly isFollowed: () => boolean;
  readonly etcd: Pick<EtcdServer, 'ensure' | 'setAside'>;
  /** The others take this host's etcd for one of theirs: its certificate says so. */
  readonly isCertified: () => boolean;
  readonly membership: Pick<StoreMembership, 'members'> & Pick<StoreMaintenance, 'memberStatus'>;
  /** Where the client of this run asks from now on. */
  readonly setEndpoints: (endpoints: readonly string[]) => void;
  /** Whether this host runs a member of the store, or where the store is, has changed. */
  readonly onChange: () => void;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly logger: Logger;
}

const LOOK_MS = 5_000;
const RETRY_MS = 2_000;

export class OwnMember {
  readonly #deps: OwnMemberDeps;
  readonly #due = new Latch();
  /** The change with which etcd has begun here. */
  #begun: string | undefined;

  constructor(deps: OwnMemberDeps) {
    this.#deps = deps;
  }

  /** Who keeps the store, members' addresses, or the change under way may have become others. */
  look(): void {
    this.#due.set();
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const look = async () => {
      await this.step();
      return LOOK_MS;
    };
    const problem = 'this host does not do its part for the store yet';
    await keepLooking({ ...this.#deps, due: this.#due }, { look, problem, retryMs: RETRY_MS }, signal);
  }

  async step(): Promise<void> {
    const { isFollowed, view } = this.#deps;
    if (levelOf(view) < STORE_LEVEL || view.keepers() === undefined) return;
    await this.#followEndpoints();
    if (!isFollowed()) return;
    const { nodeId, store } = this.#identity;
    if (store.bundled && view.behind && (await this.#isOfAnotherStore())) return await this.#end();
    if (!view.provesAbsence) return;
    const change = view.storeChange();
    const isMember = view.keepers()?.includes(nodeId) || view.keepersRecord()?.learners?.includes(nodeId);
    const isNamed = change?.nodeId === nodeId;
    if (!isMember && isNamed && change.kind === 'add' && change.peerUrls && !change.votes) await this.#begin(change);
    else if (!isMember && !isNamed && store.bundled && !(await this.#isListed())) await this.#end();
  }

  get #identity(): Identity {
    return this.#deps.own.current;
  }

  async #begin({ peerUrls = [], startedAt }: StoreChange): Promise<void> {
    const { etcd, isCertified, logger, onChange, own } = this.#deps;
    // It is asked for as soon as the change is known.
    if (!isCertified()) return;
    const which = `${startedAt} ${peerUrls.join()}`;
    if (this.#begun === which) return;
    if (this.#identity.store.bundled && (await this.#isOfAnotherStore())) await etcd.setAside();
    if (!this.#identity.store.bundled) {
      await own.change((before) => ({ ...before, store: { ...before.store, bundled: true } }));
      onChange();
    }
    const members = peerUrls.map(
      (url, i): StoreMember => ({
        ...{ id: `member${i}`, name: '', peerUrls: [url], clientUrls: [], isLearner: false },
      }),
    );
    try {
      await etcd.ensure({ ...etcdSettingsOf(this.#identity), begin: members });
    } catch (error) {
      // It runs, and has no leader yet.
      if (!isOverlaydError(error, 'store-unavailable')) throw error;
    }
    this.#begun = which;
    logger.info({ event: 'store-member-begun' }, "this host runs a member of the cluster's etcd");
  }

  /** The etcd that runs here is of a store that was lost, or left, and not of the one that is followed. */
  async #isOfAnotherStore(): Promise<boolean> {
    const { membership } = this.#deps;
    const own = await membership.memberStatus(clientUrlOf(this.#identity)).catch(() => undefined);
    if (own !== undefined) return !(await membership.members()).some(({ id }) => id === own.memberId);
    // One that waits for members which have gone on without it never answers.
    const members = await membership.members().catch(() => undefined);
    return members !== undefined && memberHere(members, this.#identity) === undefined;
  }

  /** The others go on without it, or have removed it while it was away. */
  async #end(): Promise<void> {
    const { etcd, logger, onChange, own } = this.#deps;
    await etcd.setAside();
    await own.change((before) => ({ ...before, store: { ...before.store, bundled: false } }));
    this.#begun = undefined;
    onChange();
    logger.info(
      { event: 'store-member-ended' },
      "this host runs no member of the cluster's etcd any more; its data are set aside",
    );
  }

  /** etcd counts on it still: whoever was removed from the cluster is let go of by etcd when the others are a majority. */
  async #isListed(): Promise<boolean> {
    const { membership, view } = this.#deps;
    const { nodeId } = this.#identity;
    const own = await membership.memberStatus(clientUrlOf(this.#identity)).catch(() => undefined);
    try {
      return (await membership.members()).some(({ id, name }) => name === nodeId || id === own?.memberId);
    } catch (error) {
      // From 3.5.28 on etcd tells its users alone, or even root alone. The etcd of a host that was removed ends by itself.
      if (!isOverlaydError(error, 'store-failed')) throw error;
      return view.node(nodeId)?.left !== false;
    }
  }

  async #followEndpoints(): Promise<void> {
    const { logger, onChange, own, setEndpoints, view } = this.#deps;
    const { nodeId: id, advertiseAddress } = this.#identity;
    const endpoints = storeEndpoints({ id, advertiseAddress }, view.keepers(), view.nodes());
    const from = this.#identity.store.endpoints;
    if (!endpoints || endpoints.join() === from.join()) return;
    setEndpoints(endpoints);
    await own.change((before) => ({ ...before, store: { ...before.store, endpoints } }));
    onChange();
    logger.info(
      { event: 'etcd-moved', from, to: endpoints },
      "the members of the cluster's etcd are others, or elsewhere",
    );
  }
}

/** The member that is this host's; one that has not begun yet has no name. */
function memberHere(
  members: readonly StoreMember[],
  { nodeId, advertiseAddress }: Pick<Identity, 'nodeId' | 'advertiseAddress'>,
): StoreMember | undefined {
  const url = peerUrlOf({ advertiseAddress });
  return members.find(({ name, peerUrls }) => name === nodeId || peerUrls.includes(url));
}

/** A keeper is about to add its member: what begins it is that keeper's word (`OwnMember`). */
export function isBeingAdded(view: Pick<ClusterView, 'storeChange'>, nodeId: string): boolean {
  const change = view.storeChange();
  return change?.kind === 'add' && !change.votes && change.nodeId === nodeId;
}
