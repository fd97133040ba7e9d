/**
 * etcd's users and roles, as the cluster's nodes make them (docs/adr/0024-a-node-writes-what-is-its-own.md). Every keeper looks
 * after them: what is so already is left alone, so several may, and each goes on where another stopped. In an order in which
 * nobody is locked out: roles, who has them, `root` last, and only then etcd is told to ask for them. A node that joins has
 * its user before it is answered; one that is removed loses it before anything else of it goes.
 */
import type { ClusterView } from '../../core/cluster-view.ts';
import { asOverlaydError } from '../../core/errors.ts';
import { isKeeper, saidOf } from '../../core/keepers.ts';
import { Latch } from '../../core/latch.ts';
import { KEEPER_NAMES_LEVEL, levelOf, STORE_LEVEL } from '../../core/levels.ts';
import { decodeKeepers, decodeNode, decodeStoreChange } from '../../core/record-codec.ts';
import { keys, type NodeRecord } from '../../core/records.ts';
import {
  MEMBER_PERMISSIONS,
  MEMBER_ROLE,
  nodeOfRole,
  nodePermissions,
  nodeRole,
  ROOT,
} from '../../core/store-rights.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { ClusterStore, StoreMembership, StoreUsers } from '../../ports/store.ts';
import { revokeIssued, settleRevoked } from '../cluster/issued.ts';
import { keepLooking } from '../cluster/keep-looking.ts';
import type { Commit } from '../view/commit.ts';

export interface UserKeepingDeps {
  readonly selfId: string;
  readonly users: StoreUsers;
  readonly store: Pick<ClusterStore, 'get' | 'list'>;
  readonly view: () => Pick<ClusterView, 'nodes' | 'keepers' | 'cluster' | 'level' | 'provesAbsence'>;
  /** etcd delivers: what the view says is its word of this moment. */
  readonly isFollowed: () => boolean;
  readonly commit: Commit;
  readonly clock: Pick<Clock, 'elapsed' | 'now' | 'sleep'>;
  readonly logger: Logger;
  /** etcd's, by its own word. */
  readonly members: StoreMembership['members'];
  /** Ends the connections that these addresses have to etcd on this host. Returns how many there were. */
  readonly cutOff: (addresses: readonly string[]) => Promise<number>;
  /** This host's etcd refuses certificates with these serials from now on. */
  readonly onRevoked: (serials: readonly string[]) => void;
}

const RETRY_MS = 2_000;
const LOOK_MS = 60_000;
/** `leave` writes that the node has left, and then looks for what it holds, and gives it back: for that it needs its user. */
const LEAVING_MS = 60_000;

export class UserKeeping {
  readonly #deps: UserKeepingDeps;
  readonly #due = new Latch();
  /** What this run knows to be so, by node: whose role and rights need not be looked at again. */
  readonly #done = new Map<string, string>();
  readonly #leftSince = new Map<string, number>();
  /** Where this run knows nodes to be that have a user. */
  readonly #places = new Map<string, readonly string[]>();
  #isInForce = false;

  constructor(deps: UserKeepingDeps) {
    this.#deps = deps;
  }

  /** Members, or who keeps the store, may have become others. */
  look(): void {
    this.#due.set();
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const look = async () => {
      if (this.#acts()) await this.step();
      return LOOK_MS;
    };
    const problem = "etcd's users are not as they should be";
    await keepLooking({ ...this.#deps, due: this.#due }, { look, problem, retryMs: RETRY_MS }, signal);
  }

  /** Brings all in line. Throws what the store throws. */
  async step(): Promise<void> {
    const { clock, logger, onRevoked, store, users } = this.#deps;
    // First: a node that is admitted after this is not among them, nor taken for one that is gone.
    const before = await users.roles();
    const [{ entries }, keepersEntry, changeEntry] = await Promise.all([
      store.list(keys.nodes),
      store.get(keys.storeKeepers),
      store.get(keys.storeChange),
    ]);
    const said = keepersEntry && decodeKeepers(keepersEntry.value)?.nodeIds;
    // Who is to be root is not guessed.
    if (!said) return;
    const change = changeEntry && decodeStoreChange(changeEntry.value);
    // As soon as it is one it acts as one.
    const keepers = change?.kind === 'add' && change.votes ? [...said, change.nodeId] : said;
    // Another keeper may have removed it, and whoever is a member again by the same id has to have it again.
    for (const id of this.#done.keys()) if (!before.includes(nodeRole(id))) this.#done.delete(id);
    const wanted = new Map(entries.map(({ key, value }) => [key.slice(keys.nodes.length), decodeNode(value)]));
    await users.ensureRole(MEMBER_ROLE, MEMBER_PERMISSIONS);
    await users.ensureRole(ROOT, []);
    for (const [id, node] of wanted) {
      // One that cannot be read is somebody's, and left alone.
      if (!node) continue;
      if (node.left && !this.#isLeaving(node, before)) wanted.delete(id);
      // A user that is gone is not made again.
      else if (!node.left || this.#done.has(id)) await this.#ensure(node, keepers.includes(id));
    }
    for (const id of this.#leftSince.keys())
      if (!before.includes(nodeRole(id)) || wanted.get(id)?.left === false) this.#leftSince.delete(id);
    await users.ensureUser(ROOT, [ROOT]);
    if (!this.#isInForce) {
      await users.enable();
      this.#isInForce = true;
      logger.info({ event: 'store-users-in-force' }, "etcd's users are set up: each node writes what is its own");
    }
    for (const role of before) {
      const id = nodeOfRole(role);
      if (id !== undefined && !wanted.has(id)) await this.revoke(id);
    }
    await this.#cutOffRemoved(wanted);
    onRevoked(await settleRevoked(this.#deps, new Set(wanted.keys()), clock.now(), () => this.#voters()));
  }

  /**
   * Whoever votes in etcd, removed from the cluster or not: without its member there may be no majority, neither for changes nor for
   * letting it go. What it calls is refused all the same, as it has no user any more.
   */
  async #voters(): Promise<readonly string[]> {
    const { members } = this.#deps;
    return (await members()).filter(({ isLearner }) => !isLearner).map(({ name }) => name);
  }

  /**
   * etcd asks for rights when a call or a watch begins: a watch that stands goes on. So connections of who is gone end, on each
   * keeper by its own agent. One behind NAT has no address by which to tell it.
   */
  async #cutOffRemoved(wanted: ReadonlyMap<string, NodeRecord | undefined>): Promise<void> {
    const { cutOff, logger } = this.#deps;
    for (const [id, node] of wanted) {
      if (node && !node.nat) this.#places.set(id, [...new Set([node.advertiseAddress, node.vtep])]);
    }
    const used = new Set([...wanted.values()].flatMap((node) => (node ? [node.advertiseAddress, node.vtep] : [])));
    for (const [id, places] of this.#places) {
      if (wanted.has(id)) continue;
      this.#places.delete(id);
      // Another node may have its place by now.
      const own = places.filter((address) => !used.has(address));
      const ended = own.length > 0 ? await cutOff(own).catch((error: unknown) => this.#cannotCutOff(id, error)) : 0;
      if (ended > 0) logger.info({ event: 'store-connections-ended', nodeId: id, ended }, 'a removed node is cut off');
    }
  }

  #cannotCutOff(nodeId: string, error: unknown): number {
    const { message } = asOverlaydError(error);
    this.#deps.logger.warn({ nodeId, reason: message }, 'what a removed node watches in etcd it goes on to hear');
    return 0;
  }

  /** Of a node whose record is there: before whoever joins is answered. Throws what the store throws. */
  async admit(node: Pick<NodeRecord, 'id' | 'name'>): Promise<void> {
    if (!this.#isWanted()) return;
    this.#done.delete(node.id);
    await this.#deps.users.ensureRole(MEMBER_ROLE, MEMBER_PERMISSIONS);
    await this.#ensure(node, this.#deps.view().keepers()?.includes(node.id) ?? false);
  }

  /** Before it is said that the node keeps the store. Throws what the store throws. */
  async trust(node: Pick<NodeRecord, 'id' | 'name'>): Promise<void> {
    if (this.#isWanted()) await this.#ensure(node, true);
  }

  /** From now on etcd refuses it everything, on connections that it has as well, and soon new ones. Throws what the store throws. */
  async revoke(nodeId: string): Promise<void> {
    if (!this.#isWanted()) return;
    const { clock, logger, users, view } = this.#deps;
    this.#done.delete(nodeId);
    await users.removeUser(nodeId);
    if (levelOf(view()) >= KEEPER_NAMES_LEVEL) await revokeIssued(this.#deps, nodeId, clock.now());
    // Last: as long as it is there, whoever finds that the node is none any more does all of this again.
    await users.removeRole(nodeRole(nodeId));
    logger.info({ event: 'store-user-removed', nodeId }, 'a node has no rights in etcd any more');
    this.look();
  }

  async #ensure({ id, name }: Pick<NodeRecord, 'id' | 'name'>, isKeeper: boolean): Promise<void> {
    const { users } = this.#deps;
    const state = `${name} ${isKeeper}`;
    if (this.#done.get(id) === state) return;
    await users.ensureRole(nodeRole(id), nodePermissions({ id, name }));
    await users.ensureUser(id, [MEMBER_ROLE, nodeRole(id), ...(isKeeper ? [ROOT] : [])]);
    this.#done.set(id, state);
  }

  /** It goes by itself, and has not had the time for it yet. */
  #isLeaving({ id, removed }: NodeRecord, roles: readonly string[]): boolean {
    if (removed || !roles.includes(nodeRole(id))) return false;
    const now = this.#deps.clock.elapsed();
    const since = this.#leftSince.get(id) ?? now;
    this.#leftSince.set(id, since);
    return now - since < LEAVING_MS;
  }

  /** Where etcd is the user's own, so are its users: all members have one certificate for it. */
  #isWanted(): boolean {
    const view = this.#deps.view();
    return levelOf(view) >= STORE_LEVEL && view.keepers() !== undefined;
  }

  #acts(): boolean {
    const { isFollowed, selfId } = this.#deps;
    const view = this.#deps.view();
    if (!this.#isWanted() || !isFollowed() || !view.provesAbsence) return false;
    return isKeeper(selfId, view.nodes(), saidOf(view));
  }
}
