/**
 * Instances of Incus on this host: those that run are on the networks that their configuration names, and on no others of ours. Incus
 * says when something may be otherwise; all is compared then, so what is missed while Incus or the agent is away is made up for.
 */
import type { ConnectOptions } from '../../core/connect-options.ts';
import type { LocalEndpoint } from '../../core/container.ts';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import { formatInstance, INCUS, incusOwner, parseInstance } from '../../core/incus/owner.ts';
import { formatWish, parseWish, wishKey } from '../../core/incus/wish.ts';
import { KeyedQueue } from '../../core/keyed-queue.ts';
import { Latch } from '../../core/latch.ts';
import type { Containers } from '../../ports/host.ts';
import type { Incus, IncusInstance } from '../../ports/incus.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Attachments } from '../attachments/attachments.ts';
import type { Connection, ConnectRequest } from '../endpoints/endpoints.ts';
import type { Member } from '../member.ts';

export interface IncusSideDeps {
  readonly incus: Incus;
  readonly attachments: Pick<Attachments, 'all' | 'attach' | 'detach'>;
  readonly containers: Pick<Containers, 'isAlive'>;
  /** Undefined while this host is no member: what instances have stays so long. */
  readonly member: () => Pick<Member, 'networks' | 'removed'> | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What could not be done is tried again: the network is made later, etcd is back. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

export class IncusSide {
  readonly #deps: IncusSideDeps;
  /** One thing at a time, so that nothing is compared between an attachment and its key. */
  readonly #queue = new KeyedQueue();
  readonly #changed = new Latch();
  #problems: readonly string[] = [];
  /** Undefined: nothing is left to be tried again. */
  #retryMs: number | undefined;

  constructor(deps: IncusSideDeps) {
    this.#deps = deps;
  }

  /** What stands in the way of instances, in words. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#changed.set(), { once: true });
    const heard = this.#hear(signal);
    while (true) {
      await this.#wait(signal);
      if (signal.aborted) break;
      await this.look();
    }
    await heard;
  }

  async #hear(signal: AbortSignal): Promise<void> {
    for await (const _ of this.#deps.incus.changes(signal)) this.#changed.set();
  }

  async #wait(signal: AbortSignal): Promise<void> {
    if (this.#retryMs === undefined) return await this.#changed.wait();
    const over = new AbortController();
    const slept = this.#deps.clock.sleep(this.#retryMs, AbortSignal.any([signal, over.signal])).catch(() => undefined);
    await Promise.race([this.#changed.wait(), slept]);
    over.abort();
  }

  /** Compares all, and does what it takes. */
  look(): Promise<void> {
    return this.#queue.run('', async () => {
      const problems: string[] = [];
      let isWhole = false;
      try {
        isWhole = await this.#compare(problems);
      } catch (error) {
        problems.push(`instances of Incus could not be compared: ${asOverlaydError(error).message}`);
      }
      for (const problem of problems)
        if (!this.#problems.includes(problem)) this.#deps.logger.warn({ problem }, 'Incus');
      this.#problems = problems;
      const pauseMs = Math.min(this.#retryMs === undefined ? FIRST_RETRY_MS : this.#retryMs * 2, LAST_RETRY_MS);
      this.#retryMs = isWhole && problems.length === 0 ? undefined : pauseMs;
    });
  }

  /** False: not now, since this host is no member. */
  async #compare(problems: string[]): Promise<boolean> {
    const { attachments, containers, incus, logger, member } = this.#deps;
    const current = member();
    if (!current || current.removed) return false;
    const instances = await incus.instances();
    const wanted = instances.flatMap((instance) => this.#wantedBy(instance, problems));
    const keys = new Set(wanted.map(({ owner }) => owner.key));
    for (const { owner } of attachments.all(INCUS)) {
      if (!keys.has(owner!.key)) await attachments.detach(owner!, 'its instance is not on the network any more');
    }
    for (const request of wanted) {
      const known = attachments.all(INCUS).find(({ owner }) => owner!.key === request.owner.key);
      if (known && (await containers.isAlive(known.container))) continue;
      try {
        const { warnings } = await attachments.attach(request);
        for (const warning of warnings) logger.warn({ container: request.container, warning }, 'names');
      } catch (error) {
        problems.push(`${request.container} is not on network ${request.network}: ${asOverlaydError(error).message}`);
      }
    }
    return true;
  }

  #wantedBy(instance: IncusInstance, problems: string[]) {
    if (!instance.isRunning || instance.wishes.size === 0) return [];
    const name = formatInstance(instance);
    return [...instance.wishes].flatMap(([network, text]) => {
      try {
        const options = parseWish(text);
        if (!options) return [];
        requireContainer(instance);
        return [requestOf(instance, network, options, text)];
      } catch (error) {
        problems.push(`${wishKey(network)} of incus:${name}: ${asOverlaydError(error).message}`);
        return [];
      }
    });
  }

  /**
   * Writes the network into the instance's configuration, once it is on it. Undefined: it does not run, and joins when it starts.
   * Throws what `Endpoints.connect` throws, and what stands in the way at Incus.
   */
  async connect(request: ConnectRequest, instanceName: string): Promise<Connection | undefined> {
    const { attachments, incus, member } = this.#deps;
    refuseWhatNoKeyHolds(request);
    const network = await member()!.networks.find(request.network);
    return await this.#queue.run('', async () => {
      const instance = await incus.instance(parseInstance(instanceName));
      requireContainer(instance);
      const former = instance.wishes.get(network.name);
      if (former !== undefined && isWanted(former)) {
        throw new OverlaydError(
          'endpoint-exists',
          `container ${request.container} is on network ${network.name} already: its configuration says ${wishKey(network.name)}: ${former}`,
        );
      }
      const text = formatWish(request);
      const connection = instance.isRunning
        ? await attachments.attach(requestOf(instance, network.name, request, text))
        : undefined;
      try {
        await incus.setWish(instance, network.name, text);
      } catch (error) {
        if (connection) await attachments.detach(connection.endpoint.owner!, 'its key could not be written');
        throw error;
      }
      return connection;
    });
  }

  /** One of its endpoints, by what `connect` was given or by its name. */
  find(networkId: string, container: string): LocalEndpoint | undefined {
    if (!this.#deps.member()) return undefined;
    const own = this.#deps.attachments.all(INCUS).filter(({ record }) => record.networkId === networkId);
    return own.find(({ container: { text }, record }) => text === container || record.name === container);
  }

  /** Takes the network out of the instance's configuration, and the instance off the network. Throws what Incus says. */
  async disconnect(endpoint: LocalEndpoint, network: string): Promise<void> {
    const { attachments, incus } = this.#deps;
    const name = parseInstance(endpoint.owner!.container!);
    await this.#queue.run('', async () => {
      await incus.setWish(name, network, undefined);
      const { wishes } = await incus.instance(name);
      // A profile's.
      if (isWanted(wishes.get(network) ?? '')) await incus.setWish(name, network, 'no');
      await attachments.detach(endpoint.owner!, 'somebody asked for it');
    });
  }
}

function requestOf(instance: IncusInstance, network: string, wanted: ConnectOptions, text: string) {
  const name = formatInstance(instance);
  return {
    ...wanted,
    ...{ network, container: `${INCUS}:${name}`, name: wanted.name ?? instance.name },
    owner: incusOwner(name, network, text),
  };
}

/** One that cannot be read was meant to be. */
function isWanted(text: string): boolean {
  try {
    return parseWish(text) !== undefined;
  } catch {
    return true;
  }
}

function requireContainer({ kind, ...instance }: IncusInstance): void {
  if (kind === 'container') return;
  throw new OverlaydError(
    'namespace-unusable',
    `container incus:${formatInstance(instance)} is a virtual machine, which has no network namespace; only containers of Incus can be connected`,
  );
}

function refuseWhatNoKeyHolds({ labels = {}, options = {} }: ConnectRequest): void {
  if (Object.keys(labels).length === 0 && Object.keys(options).length === 0) return;
  throw new OverlaydError(
    'invalid-argument',
    '--label, --driver-opt: what an instance of Incus is connected with is kept in its configuration, which has no place for these; leave them out',
  );
}
