/**
 * Everything that has to do with Podman on this host besides the calls of its plugin: networks offered, and what Podman never
 * tells. It has no daemon and is not asked: what counts is what it keeps on disk, and who lives in a namespace.
 */

import type { LocalEndpoint } from '../../core/container.ts';
import { isEndpointName } from '../../core/engine/endpoint-names.ts';
import { Latch } from '../../core/latch.ts';
import { PODMAN, parseOwnerKey } from '../../core/podman/owner.ts';
import type { PodmanContainers, PodmanHealth, PodmanNetworkFiles } from '../../ports/podman.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Attachments } from '../attachments/attachments.ts';
import type { Member } from '../member.ts';
import { ContainerHealth } from './container-health.ts';
import { PodmanOffers } from './offers.ts';

export interface PodmanSideDeps {
  readonly files: PodmanNetworkFiles;
  readonly containers: PodmanContainers;
  readonly health: PodmanHealth;
  readonly attachments: Pick<Attachments, 'all' | 'detach'>;
  /** Undefined while this host is no member: what Podman has stays so long. */
  readonly member: () => Pick<Member, 'engineEndpoints' | 'local' | 'networks' | 'view'> | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const LOOK_MS = 1_000;
/** While this host has no plugin for Podman, whether it has one now. */
const ABSENT_MS = 5_000;
/** While Podman writes a network that it made: less than one of its commands takes. */
const AWAIT_MS = 50;
/** From the setup of a container's network on until its process runs, and between two looks that find nobody. */
const DESERTED_MS = 30_000;

export class PodmanSide {
  readonly offers: PodmanOffers;
  readonly #deps: PodmanSideDeps;
  readonly #health: ContainerHealth;
  readonly #told = new Latch();
  #stamp = '';
  /** By id of the endpoint's record: the name that it could not be given. */
  readonly #refused = new Map<string, string>();
  #lookedAt = 0;
  /** By id of the endpoint's record: when its namespace was first found without a process. */
  #desertedSince: ReadonlyMap<string, number> = new Map();

  constructor(deps: PodmanSideDeps) {
    this.#deps = deps;
    this.offers = new PodmanOffers(deps);
    this.#health = new ContainerHealth(deps, () => this.#told.set());
  }

  async run(signal: AbortSignal): Promise<void> {
    const { logger } = this.#deps;
    while (!signal.aborted) {
      await this.offers.compare(signal);
      try {
        await this.look();
      } catch (error) {
        if (!signal.aborted) logger.warn({ error }, "Podman's containers could not be compared, trying again");
      }
      await this.#pause(signal);
    }
  }

  async #pause(signal: AbortSignal): Promise<void> {
    const told = new AbortController();
    const ms = this.offers.isAwaited ? AWAIT_MS : this.offers.isWanted ? LOOK_MS : ABSENT_MS;
    const either = AbortSignal.any([signal, told.signal]);
    const slept = this.#deps.clock.sleep(ms, either, 'loosely').catch(() => undefined);
    await Promise.race([slept, this.offers.told.wait(), this.#told.wait()]);
    told.abort();
  }

  /** At what Podman's containers are called, and whether they are still there. */
  async look(): Promise<void> {
    const { attachments, clock, containers, member } = this.#deps;
    const ours = member() ? attachments.all(PODMAN) : [];
    for (const id of this.#refused.keys()) if (!ours.some(({ record }) => record.id === id)) this.#refused.delete(id);
    await this.#lookAtHealth(ours);
    if (ours.length === 0) {
      this.#stamp = '';
      this.#desertedSince = new Map();
      return;
    }
    const stamp = `${await containers.stamp()} ${ours.map(({ record }) => record.id).join()}`;
    if (stamp !== this.#stamp && (await this.#follow(ours))) this.#stamp = stamp;
    if (clock.elapsed() - this.#lookedAt < DESERTED_MS) return;
    this.#lookedAt = clock.elapsed();
    await this.#collect(ours);
  }

  async #lookAtHealth(ours: readonly LocalEndpoint[]): Promise<void> {
    const member = this.#deps.member();
    if (member) await this.#health.look(ours, member);
  }

  /** `podman rename` runs no plugin. Whether all go by their names: the others are tried again. */
  async #follow(ours: readonly LocalEndpoint[]): Promise<boolean> {
    const { containers, logger } = this.#deps;
    const names = await containers.names();
    for (const endpoint of ours) {
      const { record } = endpoint;
      const name = names.get(parseOwnerKey(endpoint.owner!.key).containerId);
      // Of a pod its first container is listed, by the name of that; the pod's own is what the plugin was told.
      const isOther = name !== undefined && isEndpointName(name) && !name.endsWith('-infra') && record.name !== name;
      if (!isOther) {
        this.#refused.delete(record.id);
        continue;
      }
      try {
        await this.#rename(endpoint, name);
        this.#refused.delete(record.id);
        logger.info({ endpoint: name, former: record.name }, 'endpoint renamed as its container was');
      } catch (error) {
        const isNews = this.#refused.get(record.id) !== name;
        this.#refused.set(record.id, name);
        if (isNews) logger.warn({ endpoint: record.name, name, error }, 'endpoint could not be renamed, trying again');
      }
    }
    return this.#refused.size === 0;
  }

  async #rename(endpoint: LocalEndpoint, name: string): Promise<void> {
    const { engineEndpoints, local } = this.#deps.member()!;
    const aliases = endpoint.record.aliases.filter((alias) => alias !== name);
    // Here first: a record that says otherwise is put right by what this host keeps.
    await local.update({ ...endpoint, record: { ...endpoint.record, name, aliases } });
    try {
      await engineEndpoints.change.make(endpoint.record, { name, aliases });
    } catch (error) {
      await local.update(endpoint);
      throw error;
    }
  }

  /**
   * Where a container's process is killed together with `conmon`, which watches it, Podman lets go of nothing: its namespace is
   * kept by a mount, and nobody lives there.
   */
  async #collect(ours: readonly LocalEndpoint[]): Promise<void> {
    const { attachments, clock, containers } = this.#deps;
    const deserted = await containers.deserted(ours.map(({ container }) => container.path));
    const now = clock.elapsed();
    const since = new Map<string, number>();
    for (const { container, owner, record } of ours) {
      if (!deserted.has(container.path)) continue;
      const first = this.#desertedSince.get(record.id) ?? now;
      if (now - first < DESERTED_MS) since.set(record.id, first);
      else await attachments.detach(owner!, 'nobody lives in its namespace any more');
    }
    this.#desertedSince = since;
  }
}
