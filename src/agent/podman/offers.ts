/**
 * Keeps Podman's folder of networks as the cluster says. Podman asks nobody when it removes a network, so a file that goes while
 * the agent looks on is a person's word on a network that was made by Podman on this host; on any other it is none, and the file
 * comes back.
 */

import type { ClusterView } from '../../core/cluster-view.ts';
import { asOverlaydError } from '../../core/errors.ts';
import { Latch } from '../../core/latch.ts';
import type { PodmanNetwork } from '../../core/podman/network-file.ts';
import { planPodmanOffers } from '../../core/podman/network-offers.ts';
import type { NetworkRecord } from '../../core/records.ts';
import type { PodmanNetworkFiles } from '../../ports/podman.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Networks } from '../networks/networks.ts';

export interface PodmanOffersDeps {
  readonly files: PodmanNetworkFiles;
  /** Undefined while this host is no member: what Podman has stays so long. */
  readonly member: () =>
    | { readonly networks: Pick<Networks, 'list' | 'remove'>; readonly view: Pick<ClusterView, 'provesAbsence'> }
    | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** From the plugin's answer on, until Podman has written what it was told. */
const WRITTEN_MS = 10_000;

export class PodmanOffers {
  readonly #deps: PodmanOffersDeps;
  /** Of the cluster, as they were compared; a network is never changed, only replaced. */
  #compared: readonly NetworkRecord[] = [];
  #wasWhole = false;
  /** By name, until when. */
  readonly #beingCreated = new Map<string, number>();
  #before: readonly PodmanNetwork[] = [];
  #stamp: string | undefined;
  #due = true;
  #problems: readonly string[] = [];
  #failure: string | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(deps: PodmanOffersDeps) {
    this.#deps = deps;
  }

  /** Set when Podman has been told what to write: a person may remove that a moment later, and only what is seen can be seen to go. */
  readonly told = new Latch();

  get isAwaited(): boolean {
    return [...this.#beingCreated.values()].some((until) => until > this.#deps.clock.elapsed());
  }

  /** This host's Podman has our plugin. */
  get isWanted(): boolean {
    return this.#stamp !== undefined;
  }

  get problems(): readonly string[] {
    return [...this.#problems, ...(this.#failure ? [this.#failure] : [])];
  }

  /** A person is making a network of that name by Podman: it is not offered until that has ended. */
  async whileCreating<T>(name: string, task: () => Promise<T>): Promise<T> {
    this.#beingCreated.set(name, Number.POSITIVE_INFINITY);
    let made = false;
    try {
      const result = await task();
      made = true;
      return result;
    } finally {
      if (made) this.#beingCreated.set(name, this.#deps.clock.elapsed() + WRITTEN_MS);
      else this.#beingCreated.delete(name);
      this.#due = true;
      this.told.set();
    }
  }

  /** Resolves when it has looked; what stands in the way is among the `problems`. */
  compare(signal: AbortSignal): Promise<void> {
    this.#last = this.#last.then(() => this.#tryCompare(signal));
    return this.#last;
  }

  async #tryCompare(signal: AbortSignal): Promise<void> {
    const { files, logger, member } = this.#deps;
    const of = member();
    if (!of) return;
    try {
      const stamp = await files.stamp();
      const networks = of.networks.list();
      const isWhole = of.view.provesAbsence;
      if (stamp === undefined) {
        this.#before = [];
        this.#problems = [];
      } else if (this.#due || stamp !== this.#stamp || isWhole !== this.#wasWhole || this.#isOther(networks)) {
        this.#due = this.#beingCreated.size > 0;
        // What went with the whole folder is nobody's word.
        if (folderOf(stamp) !== folderOf(this.#stamp)) this.#before = [];
        await this.#compare(networks, isWhole, signal);
        this.#compared = networks;
        this.#wasWhole = isWhole;
      }
      // Of before: what came or went meanwhile, by whomever, is looked at the next time.
      this.#stamp = stamp;
      this.#failure = undefined;
    } catch (error) {
      this.#due = true;
      if (signal.aborted) return;
      const failure = `networks are not offered to this host's Podman: ${asOverlaydError(error).message}`;
      if (this.#failure !== failure) logger.warn({ error }, 'networks could not be offered to Podman, trying again');
      this.#failure = failure;
    }
  }

  #isOther(networks: readonly NetworkRecord[]): boolean {
    return networks.length !== this.#compared.length || networks.some((each, at) => each !== this.#compared[at]);
  }

  async #compare(networks: readonly NetworkRecord[], provesAbsence: boolean, signal: AbortSignal): Promise<void> {
    const { clock, files, logger, member } = this.#deps;
    const found = await files.list();
    for (const [name, until] of this.#beingCreated) {
      if (until < clock.elapsed() || found.some((each) => each.name === name)) this.#beingCreated.delete(name);
    }
    const lost = await this.#lostAmong(found);
    const offers = planPodmanOffers({
      ...{ networks, found, before: this.#before.filter((each) => !lost.includes(each)), provesAbsence },
      beingCreated: new Set(this.#beingCreated.keys()),
    });
    this.#before = [...found, ...lost];
    if (lost.length > 0) this.#due = true;
    this.#problems = offers.problems;
    for (const network of offers.remove) {
      await files.remove(network);
      logger.info({ network: network.name }, 'network withdrawn from Podman');
    }
    for (const network of offers.change) await files.change(network);
    for (const network of offers.add) {
      if (await files.add(network)) logger.info({ network: network.name }, 'network offered to Podman');
    }
    for (const { id, name } of offers.unwanted) {
      this.#due = true;
      try {
        await member()?.networks.remove(id, signal);
        logger.info({ network: name }, 'network removed, as it was from Podman that had made it');
      } catch (error) {
        logger.warn({ network: name, error }, 'a network that was removed from Podman stays, and is offered again');
      }
    }
  }

  /** Of before: those whose file is there and cannot be read. Podman writes over it in place, or somebody broke it: it is not gone. */
  async #lostAmong(found: readonly PodmanNetwork[]): Promise<readonly PodmanNetwork[]> {
    const names = new Set(found.map(({ name }) => name));
    const missing = this.#before.filter(({ name }) => !names.has(name));
    const isThere = await Promise.all(missing.map(({ name }) => this.#deps.files.has(name)));
    return missing.filter((_, nth) => isThere[nth]);
  }
}

function folderOf(stamp: string | undefined): string | undefined {
  return stamp?.split(' ', 1)[0];
}
