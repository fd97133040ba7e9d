import { systemClock } from '../../../src/adapters/system/time.ts';
import { Reconciler, type ReconcilerDeps } from '../../../src/agent/reconcile/reconcile.ts';
import type { LocalEndpoint } from '../../../src/core/container.ts';
import type { BundledStore } from '../../../src/core/keepers.ts';
import type { NetworkRecord } from '../../../src/core/records.ts';
import type { Kernel } from '../../../src/ports/kernel.ts';
import type { Logger } from '../../../src/ports/runtime.ts';
import { World } from '../../contract/kernel-world.ts';
import type { Host } from '../../lab/host.ts';
import { until } from '../../lab/until.ts';
import { openKernel } from './kernel-host.ts';

const silent: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
  child: () => silent,
};

export interface StationOptions {
  readonly serviceAddress?: boolean;
  readonly store?: BundledStore;
  readonly auditIntervalMs?: number;
  /** Put between the reconciler and the kernel. */
  readonly through?: (kernel: Kernel) => Kernel;
}

/** A host of the lab with what an agent there would know, and its reconciler. */
export class Station {
  readonly world: World;
  readonly host: Host;
  readonly gone: LocalEndpoint[] = [];
  readonly #adapters: ReturnType<typeof openKernel>;
  readonly #kernel: Kernel;
  reconciler: Reconciler;
  readonly #serviceAddress: boolean;
  readonly #store: BundledStore | undefined;
  readonly #auditIntervalMs: number;
  #quit = new AbortController();
  #ended: Promise<void> = Promise.resolve();

  constructor(host: Host, options: StationOptions = {}) {
    this.host = host;
    this.#serviceAddress = options.serviceAddress ?? false;
    this.#store = options.store;
    this.#auditIntervalMs = options.auditIntervalMs ?? 500;
    this.world = new World(host.name);
    this.#adapters = openKernel(host);
    this.#kernel = options.through?.(this.#adapters.kernel) ?? this.#adapters.kernel;
    this.reconciler = this.#create();
  }

  #create(): Reconciler {
    const deps: ReconcilerDeps = {
      kernel: this.#kernel,
      view: () => this.world,
      self: () => this.world.self,
      local: () => [...this.world.local.values()],
      store: () => this.#store,
      serviceAddress: () => this.#serviceAddress,
      clock: systemClock,
      logger: silent,
      onGone: async (endpoints) => {
        this.gone.push(...endpoints);
        for (const { record } of endpoints) this.world.remove(record.id);
      },
    };
    return new Reconciler(deps, { auditIntervalMs: this.#auditIntervalMs });
  }

  start(): void {
    this.#quit = new AbortController();
    this.#ended = this.reconciler.run(this.#quit.signal);
    this.reconciler.markDirty('all');
  }

  /** A new agent takes over what the one before left in the kernel. */
  async restart(): Promise<void> {
    await this.stop();
    this.reconciler = this.#create();
    this.start();
  }

  async stop(): Promise<void> {
    this.#quit.abort();
    await this.#ended;
  }

  async attach(network: NetworkRecord, address: string, container: string, ifname = 'eth0'): Promise<LocalEndpoint> {
    const ref = await this.#adapters.containers.resolve(`netns:${container}`);
    const endpoint = this.world.addLocal(network, address, ref, { ifname });
    await this.reconciler.converge(network.id, { endpoint });
    return endpoint;
  }

  async quiet(): Promise<void> {
    let passes = -1;
    await until('the reconciler to have nothing to do', () => {
      const before = passes;
      passes = this.reconciler.status().passes;
      return before === passes;
    });
  }
}
