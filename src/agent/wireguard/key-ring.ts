/**
 * This host's keys: made here, kept in `wireguard.json` before anything is said of them, published by the node's own record. What
 * the file has is what is offered, so a crash at any line leaves a key that nobody knows yet, or one that is whole.
 */

import type { ClusterView } from '../../core/cluster-view.ts';
import { asOverlaydError } from '../../core/errors.ts';
import { ENCRYPTION_LEVEL, levelOf } from '../../core/levels.ts';
import type { NodeRecord, WireguardOffer } from '../../core/records.ts';
import { comingKey, freeDevice, goingKey, type OwnKey, type OwnKeys, offerOf } from '../../core/wireguard/own-keys.ts';
import type { WireguardBackend } from '../../core/wireguard/state.ts';
import type { JsonFile } from '../../ports/files.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import type { MakeKeyPair } from '../../ports/wireguard.ts';

export interface KeyRingDeps {
  readonly file: JsonFile<OwnKeys>;
  readonly makeKeyPair: MakeKeyPair;
  readonly view: ClusterView;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  readonly logger: Logger;
  /** The keys are others now: what is offered, and what is wanted, may be as well. */
  readonly onChange: () => void;
  /** Adds to the offer what else is known. */
  readonly amend?: ((offer: WireguardOffer) => WireguardOffer) | undefined;
}

export interface KeyRingOptions {
  readonly selfId: string;
  readonly basePort: number;
}

export class KeyRing {
  readonly #deps: KeyRingDeps;
  readonly #options: KeyRingOptions;
  #keys: readonly OwnKey[] = [];
  #loaded = false;
  #problem: string | undefined;
  #backend: WireguardBackend | undefined;
  #isLost = false;
  /** Changes come one after another. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(deps: KeyRingDeps, options: KeyRingOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** In the order of the file; none before the first are made. */
  get keys(): readonly OwnKey[] {
    return this.#keys;
  }

  /** None was made yet; false while that is not known. */
  get isEmpty(): boolean {
    return this.#loaded && this.#keys.length === 0;
  }

  /** Why the keys are not known, in words. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get backend(): WireguardBackend | undefined {
    return this.#backend;
  }

  /** As it was found last. What ran once is not taken back when its program is gone: what runs goes on. */
  set backend(found: WireguardBackend | undefined) {
    if (found === this.#backend) return;
    this.#backend = found;
    this.#deps.onChange();
  }

  /** Nothing runs WireGuard here, and nothing is left that does: what is offered is taken back. */
  set isLost(isLost: boolean) {
    if (isLost === this.#isLost) return;
    this.#isLost = isLost;
    this.#deps.onChange();
  }

  /** Reads the file, unless that was done. Does not throw: what stands in the way is the {@link problem}. */
  async load(): Promise<void> {
    if (this.#loaded) return;
    try {
      const saved = await this.#deps.file.load();
      if (saved?.nodeId === this.#options.selfId) this.#keys = saved.keys;
      this.#loaded = true;
      this.#problem = undefined;
      this.#deps.onChange();
    } catch (error) {
      const { message } = asOverlaydError(error);
      if (message !== this.#problem)
        this.#deps.logger.error({ error }, 'the WireGuard keys of this host are not known');
      this.#problem = message;
    }
  }

  /** As `OwnOffer` says. Makes the first key. Throws what the file throws. */
  offer(current: NodeRecord): Promise<WireguardOffer | 'none' | undefined> {
    return this.#inTurn(async () => {
      const { random, view } = this.#deps;
      if (this.#isLost) return 'none';
      const backend = this.#backend ?? current.wireguard?.backend;
      if (!this.#loaded || backend === undefined || levelOf(view) < ENCRYPTION_LEVEL) return undefined;
      if (this.#keys.length === 0) await this.#save([this.#newKey('ovlwg0')]);
      const taken = takenNumbers(view, this.#options.selfId);
      const offer = offerOf({
        ...{ keys: this.#keys, current: current.wireguard, backend, basePort: this.#options.basePort },
        ...{ isTaken: (number: number) => taken.has(number), chance: () => random.next() },
      });
      return this.#deps.amend?.(offer) ?? offer;
    });
  }

  /** That is in etcd, with the numbers. */
  published(offer: WireguardOffer): Promise<void> {
    return this.#inTurn(async () => {
      const numbers = new Map(offer.keys.map(({ publicKey, number }) => [publicKey, number]));
      const isKnown = ({ publicKey, number }: OwnKey) => (numbers.get(publicKey) ?? number) === number;
      if (this.#keys.every(isKnown)) return;
      await this.#save(this.#keys.map((key) => ({ ...key, number: numbers.get(key.publicKey) ?? key.number! })));
    });
  }

  /** A second key comes, unless one is there. */
  begin(): Promise<void> {
    return this.#inTurn(async () => {
      const device = freeDevice(this.#keys);
      if (device && this.#keys.length > 0) await this.#save([...this.#keys, this.#newKey(device)]);
    });
  }

  /** The key that comes is the first from now on. */
  promote(): Promise<void> {
    return this.#inTurn(async () => {
      const coming = comingKey(this.#keys);
      if (coming) await this.#save([coming, this.#keys[0]!]);
    });
  }

  /** The key that goes is gone. */
  retire(): Promise<void> {
    return this.#inTurn(async () => {
      if (goingKey(this.#keys)) await this.#save([this.#keys[0]!]);
    });
  }

  #newKey(device: OwnKey['device']): OwnKey {
    const { clock, makeKeyPair } = this.#deps;
    // Later than the one before, whatever the clock says: that is how the two are told apart.
    const createdAt = Math.max(clock.now(), ...this.#keys.map((key) => key.createdAt + 1));
    return { ...makeKeyPair(), device, createdAt };
  }

  async #save(keys: readonly OwnKey[]): Promise<void> {
    await this.#deps.file.save({ nodeId: this.#options.selfId, keys });
    this.#keys = keys;
    this.#deps.onChange();
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const run = this.#last.then(task);
    this.#last = run.catch(() => undefined);
    return run;
  }
}

/** By claim, or by a record whose claim is missing. */
function takenNumbers(view: ClusterView, selfId: string): ReadonlySet<number> {
  const taken = new Set<number>();
  const holders = view.keyNumbers();
  for (const [number, holder] of holders) if (holder !== selfId) taken.add(number);
  for (const { id, left, wireguard } of view.nodes()) {
    if (left || id === selfId) continue;
    for (const { number } of wireguard?.keys ?? []) if (holders.get(number) !== selfId) taken.add(number);
  }
  return taken;
}
