/**
 * Tells whoever builds on what the reconciler makes: a network's namespace, the host's own part. Told once when it is
 * there, again when something was written to it or more is wanted of it, and again when being told failed.
 */
import { momentOfWhole } from '../../core/desired.ts';
import type { Desired, DesiredNetwork, Obstacle, Plan } from '../../core/host-state.ts';
import type { Logger } from '../../ports/runtime.ts';

/** Stands for the host's own part where an id of a network is said. */
export const HOST_PART = '';

export interface AnnouncementsDeps {
  readonly logger: Logger;
  /** The network's namespace is about to be made: whoever holds one that was there before must let go. */
  readonly onLost?: ((networkId: string) => Promise<void>) | undefined;
  /** The namespace is about to be removed: whoever holds it must let go. */
  readonly onRemoved?: ((namespace: string) => Promise<void>) | undefined;
  /** Both of these, at once, for who holds them in this process. */
  readonly letGo?: ((namespaces: readonly string[]) => Promise<void>) | undefined;
  /** The network's namespace is being made, with the ways to its endpoints; `made` resolves when that has ended. */
  readonly onComing?: ((networkId: string, made: Promise<unknown>) => void) | undefined;
  /** The network's namespace, or the host's part ({@link HOST_PART}), was made or changed. */
  readonly onApplied?: ((networkId: string) => Promise<void>) | undefined;
  /** To be announced once more a while later, by a pass that looks at it. */
  readonly again: (networkId: string, afterMs: number) => void;
}

/** What could not follow from a network being there is rarely there a moment later. */
const FIRST_RETRY_MS = 5_000;
const LAST_RETRY_MS = 300_000;

export class Announcements {
  readonly #deps: AnnouncementsDeps;
  /** By network id: whether it had the service address. */
  readonly #announced = new Map<string, boolean>();
  /** By network id: the endpoints of other hosts that have their rows. */
  readonly #reached = new Map<string, DesiredNetwork['remotes']>();
  /** By network id: how often in a row being told has failed. */
  readonly #failures = new Map<string, number>();

  constructor(deps: AnnouncementsDeps) {
    this.#deps = deps;
  }

  /** An open socket keeps a removed namespace alive, and with it the VXLAN device, of which the kernel allows no second. */
  async lost(wanted: Desired, planned: Plan): Promise<void> {
    const removed = namespacesOf('delete-namespace', planned);
    const lost = networksMade(wanted, planned);
    // It may have been held for longer than this agent runs.
    for (const { networkId } of lost) this.#announced.delete(networkId);
    const held = [...lost.map(({ namespace }) => namespace), ...removed];
    await Promise.all([
      held.length > 0 && this.#deps.letGo?.(held),
      ...lost.map(({ networkId }) => this.#deps.onLost?.(networkId)),
      ...removed.map((namespace) => this.#deps.onRemoved?.(namespace)),
    ]);
  }

  /** The plan is being carried out; `done` resolves when that has ended. */
  coming(wanted: Desired, planned: Plan, done: Promise<unknown>): void {
    for (const { networkId } of networksMade(wanted, planned)) this.#deps.onComing?.(networkId, done);
  }

  /** `host`: the pass looked at the host too. */
  applied(wanted: Desired, planned: Plan, obstacles: readonly Obstacle[], host: boolean): void {
    // What one endpoint lacks is no matter of the others, nor of their names.
    const broken = new Set(obstacles.flatMap(({ network, endpointId }) => (endpointId === undefined ? [network] : [])));
    const written = new Set(planned.stages.flatMap(({ ops }) => ops.map(({ network }) => network)));
    const isKnown = (networkId: string, namespace: string | undefined) =>
      this.#announced.get(networkId) === wanted.serviceAddress && !written.has(namespace);
    for (const { networkId, namespace, remotes } of wanted.networks) {
      if (broken.has(namespace)) continue;
      const reached = this.#reached.get(networkId);
      this.#reached.set(networkId, remotes);
      // Rows that were there before they were wanted are news, too.
      if (isKnown(networkId, namespace) && !hasOthers(remotes, reached)) continue;
      this.#announce(networkId, wanted.serviceAddress);
    }
    const isHostDue = host && !broken.has(undefined) && !isKnown(HOST_PART, undefined);
    if (isHostDue) this.#announce(HOST_PART, wanted.serviceAddress);
  }

  /** Whether the network has been told to be there. */
  isAnnounced(networkId: string): boolean {
    return this.#announced.has(networkId);
  }

  /** Whether the kernel has the way to an endpoint of another host. */
  reaches(networkId: string, address: string): boolean {
    const remotes = this.#reached.get(networkId);
    return remotes !== undefined && addressesOf(remotes).has(address);
  }

  /** Whether it has those to all of them, as they were at that moment (`ClusterView.momentOfOthers`). */
  reachesAll(networkId: string, moment: number): boolean {
    const remotes = this.#reached.get(networkId);
    return remotes !== undefined && momentOfWhole(remotes) === moment;
  }

  /** The network was taken apart. */
  forget(networkId: string): void {
    this.#announced.delete(networkId);
    this.#reached.delete(networkId);
  }

  #announce(networkId: string, serviceAddress: boolean): void {
    const { again, logger, onApplied } = this.#deps;
    this.#announced.set(networkId, serviceAddress);
    onApplied?.(networkId).then(
      () => this.#failures.delete(networkId),
      (error: unknown) => {
        this.#announced.delete(networkId);
        const failures = (this.#failures.get(networkId) ?? 0) + 1;
        this.#failures.set(networkId, failures);
        const retryInMs = Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LAST_RETRY_MS);
        logger.warn({ networkId, retryInMs, error }, 'what follows from a network being there failed, trying again');
        again(networkId, retryInMs);
      },
    );
  }
}

/** Endpoints, or addresses of theirs, that there were not before. */
function hasOthers(remotes: DesiredNetwork['remotes'], before: DesiredNetwork['remotes'] = []): boolean {
  if (remotes === before) return false;
  const known = addressesOf(before);
  for (const address of addressesOf(remotes)) if (!known.has(address)) return true;
  return false;
}

const addressesMade = new WeakMap<DesiredNetwork['remotes'], ReadonlySet<string>>();

/** Of the endpoints of other hosts. */
function addressesOf(remotes: DesiredNetwork['remotes']): ReadonlySet<string> {
  const made = addressesMade.get(remotes);
  if (made) return made;
  const addresses = new Set<string>();
  for (const { endpoints } of remotes)
    for (const each of endpoints) for (const { ip } of each.addresses) addresses.add(ip);
  addressesMade.set(remotes, addresses);
  return addresses;
}

function networksMade(wanted: Desired, planned: Plan): readonly DesiredNetwork[] {
  const made = new Set(namespacesOf('add-namespace', planned));
  return wanted.networks.filter(({ namespace }) => made.has(namespace));
}

function namespacesOf(kind: 'add-namespace' | 'delete-namespace', { stages }: Plan): string[] {
  return stages.flatMap(({ ops }) => ops.flatMap(({ op }) => (op.kind === kind ? [op.name] : [])));
}
