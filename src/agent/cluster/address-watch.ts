/**
 * Follows what a member's addresses depend on: this host's own links, and, where the cluster's etcd runs on another
 * member, that member's record; and the name that it was given. What has moved goes into the identity file, and the member starts anew with it; existing
 * traffic between other hosts does not notice. What cannot be followed is told in words.
 */
import { asOverlaydError } from '../../core/errors.ts';
import { Latch } from '../../core/latch.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { HostFacts } from '../../ports/host.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Identity } from './identity.ts';
import type { OwnIdentity } from './own-identity.ts';
import { movedStore, type Relocation, relocate } from './relocation.ts';

export interface AddressWatchDeps {
  readonly facts: Pick<HostFacts, 'addresses' | 'links'>;
  readonly clock: Clock;
  readonly own: OwnIdentity;
  readonly logger: Logger;
  /** Whether the host was started since the agent ran last. */
  readonly hasBooted: () => Promise<boolean>;
  /** What the cluster calls this node; undefined: not known yet. */
  readonly name: () => string | undefined;
  /** {@link AddressWatch.problems} changed. */
  readonly onProblems: () => void;
  /** The member is to start anew. Throws when that is not possible at the moment. */
  readonly moved: (why: string) => Promise<void>;
}

/** A DHCP client takes the old address away before it sets the new one; so long nothing may have changed. */
const SETTLED_MS = 1_500;
const RETRY_MS = 1_000;
/** A host that starts gets its addresses one after the other. Half of what the unit gives a start (`TimeoutStartSec`). */
const BOOT_MS = 10_000;
const ARRIVAL_MS = 250;

export class AddressWatch {
  readonly #deps: AddressWatchDeps;
  readonly #work = new Latch();
  #problems: readonly string[] = [];
  /** Why the member has to start anew. */
  #due: string | undefined;

  constructor(deps: AddressWatchDeps) {
    this.#deps = deps;
  }

  get #identity(): Identity {
    return this.#deps.own.current;
  }

  /** What could not be followed. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Links, addresses or members changed. */
  look(): void {
    this.#work.set();
  }

  /** Before the member starts: it may have been elsewhere when the agent last ran. Returns the node as it is now. */
  async settle(signal: AbortSignal): Promise<Identity> {
    const found = await this.#arrive(signal).catch((error: unknown) => {
      signal.throwIfAborted();
      this.#deps.logger.warn({ error }, 'it is not known whether the addresses of this host changed');
    });
    if (!found) return this.#identity;
    if (found.moves.length > 0) return this.#take(found);
    this.#tell(found.problems);
    await this.#remember(found.identity);
    return this.#identity;
  }

  /** Ends when the signal aborts. `nodes`: the members as they are known. */
  async keep(nodes: () => Iterable<NodeRecord>, signal: AbortSignal): Promise<void> {
    const { clock, logger, moved } = this.#deps;
    signal.addEventListener('abort', () => this.#work.set(), { once: true });
    this.#work.set();
    let failing: string | undefined;
    for (;;) {
      await this.#work.wait();
      if (signal.aborted) return;
      try {
        const found = await this.#find(signal);
        this.#tell(found.problems);
        if (found.moves.length > 0) {
          await this.#take(found);
          this.#due = 'starting again with another address';
        } else await this.#remember(found.identity);
        await this.#followName();
        const endpoints = movedStore(this.#identity, nodes());
        if (endpoints) {
          await this.#followStore(endpoints);
          this.#due ??= 'starting again with another address of etcd';
        }
        if (this.#due) await moved(this.#due);
      } catch (error) {
        if (signal.aborted) return;
        const { code, message } = asOverlaydError(error);
        // The same again and again is said once.
        const level = message === failing ? 'debug' : 'warn';
        logger[level]({ code, reason: message }, 'a changed address is not followed yet, trying again');
        failing = message;
        await clock.sleep(RETRY_MS, signal);
        this.#work.set();
      }
    }
  }

  /** After a boot nothing that is missing has gone, for a while. */
  async #arrive(signal: AbortSignal): Promise<Relocation> {
    const { clock, hasBooted, logger } = this.#deps;
    let found = await this.#look();
    if (isAsItWas(found) || !(await hasBooted())) return this.#find(signal);
    logger.info({ awaited: found.problems }, "waiting for this host's addresses");
    for (const until = clock.elapsed() + BOOT_MS; clock.elapsed() < until; found = await this.#look()) {
      if (isAsItWas(found)) return found;
      await clock.sleep(ARRIVAL_MS, signal);
    }
    return this.#find(signal);
  }

  /** Twice the same, where anything is not as it was. */
  async #find(signal: AbortSignal): Promise<Relocation> {
    let found = await this.#look();
    while (found.moves.length > 0 || found.problems.length > this.#problems.length) {
      await this.#deps.clock.sleep(SETTLED_MS, signal);
      const again = await this.#look();
      if (JSON.stringify(again) === JSON.stringify(found)) break;
      found = again;
    }
    return found;
  }

  async #look(): Promise<Relocation> {
    const { facts } = this.#deps;
    const [addresses, links] = await Promise.all([facts.addresses(), facts.links()]);
    return relocate(this.#identity, { addresses, links });
  }

  /** Which link has an address: found again at the next start, should it not be saved. */
  async #remember({ addressLinks }: Identity): Promise<void> {
    if (JSON.stringify(addressLinks) === JSON.stringify(this.#identity.addressLinks)) return;
    await this.#deps.own.change((before) => ({ ...before, ...(addressLinks && { addressLinks }) }), {
      unsaved: () => undefined,
    });
  }

  async #take({ identity: { advertiseAddress, vtep, listenAddress, addressLinks, store }, ...found }: Relocation) {
    const { logger, own } = this.#deps;
    const moved = { advertiseAddress, vtep, listenAddress, ...(addressLinks && { addressLinks }) };
    const identity = await own.change(
      (before) => ({ ...before, ...moved, store: { ...before.store, endpoints: store.endpoints } }),
      // What cannot be saved is found out again at the next start.
      { unsaved: (error) => logger.warn({ error }, 'another address of this host is not saved') },
    );
    this.#tell(found.problems);
    for (const { from, to } of found.moves) {
      logger.info({ event: 'address-changed', node: identity.name, from, to }, 'an address of this host changed');
    }
    return identity;
  }

  /** Somebody gave the node another name: the next start begins with it. */
  async #followName(): Promise<void> {
    const from = this.#identity.name;
    const to = this.#deps.name() ?? from;
    if (to === from) return;
    await this.#deps.own.change((before) => ({ ...before, name: to }));
    this.#deps.logger.info({ event: 'node-renamed', from, to }, 'this node has another name');
  }

  async #followStore(endpoints: readonly string[]): Promise<void> {
    const from = this.#identity.store.endpoints;
    await this.#deps.own.change((before) => ({ ...before, store: { ...before.store, endpoints } }));
    const to = endpoints;
    this.#deps.logger.info({ event: 'etcd-moved', from, to }, "the host of the cluster's etcd has another address");
  }

  /** Once each. */
  #tell(problems: readonly string[]): void {
    const before = this.#problems;
    if (problems.join() === before.join()) return;
    this.#problems = problems;
    for (const problem of problems)
      if (!before.includes(problem)) this.#deps.logger.warn({ event: 'address-lost', problem }, 'address lost');
    if (problems.length === 0)
      this.#deps.logger.info({ event: 'address-returned' }, 'the addresses of this host are there again');
    this.#deps.onProblems();
  }
}

function isAsItWas({ moves, problems }: Relocation): boolean {
  return moves.length === 0 && problems.length === 0;
}
