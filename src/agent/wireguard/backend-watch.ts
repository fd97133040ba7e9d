/** What runs WireGuard on this host: looked for, and whether what runs still does. */
import type { SeenWireguard, WireguardBackend } from '../../core/wireguard/state.ts';
import type { Clock, Logger } from '../../ports/runtime.ts';
import type { Wireguard } from '../../ports/wireguard.ts';
import type { KeyRing } from './key-ring.ts';

export interface BackendWatchDeps {
  readonly wireguard: Pick<Wireguard, 'backend'>;
  readonly keys: Pick<KeyRing, 'backend' | 'isLost'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly logger: Logger;
}

/** Devices that were gone without our doing: what ran them ended, or somebody deleted them. */
export interface Endings {
  readonly count: number;
  /** The last one, by the wall clock, milliseconds; 0: none. */
  readonly lastMs: number;
}

export class BackendWatch {
  readonly #deps: BackendWatchDeps;
  #endings: Endings = { count: 0, lastMs: 0 };
  /** Undefined: not looked yet. */
  #seen: SeenWireguard | undefined;
  /** It was looked for what runs WireGuard, and there was nothing. */
  #isLacking = false;

  constructor(deps: BackendWatchDeps) {
    this.#deps = deps;
  }

  /** Which instance of WireGuard's namespace there is: another one after each end. Undefined: there are no devices. */
  get place(): string | undefined {
    return this.#seen?.devices.length ? String(this.#endings.count) : undefined;
  }

  /** Since the agent began. */
  get endings(): Endings {
    return this.#endings;
  }

  /** Does not throw: what was found last stands. */
  async find(): Promise<void> {
    const { keys, logger, wireguard } = this.#deps;
    try {
      keys.backend = await wireguard.backend();
      this.#isLacking = keys.backend === undefined;
      this.#judge();
    } catch (error) {
      logger.debug({ error }, 'what runs WireGuard here could not be found out');
    }
  }

  /** `deleted`: what went by our own doing. */
  note(seen: SeenWireguard, deleted: ReadonlySet<string>): void {
    for (const { name, backend } of this.#seen?.devices ?? [])
      if (!deleted.has(name) && !seen.devices.some((device) => device.name === name)) this.#tellEnd(name, backend);
    this.#seen = seen;
    this.#judge();
  }

  #tellEnd(device: string, backend: WireguardBackend): void {
    const { clock, logger } = this.#deps;
    this.#endings = { count: this.#endings.count + 1, lastMs: clock.now() };
    const what = backend === 'kernel' ? 'a WireGuard device was deleted' : 'wireguard-go ended, and its device with it';
    logger.warn({ event: 'wireguard-ended', device, backend }, what);
  }

  /** What runs goes on without its program, and is offered; before it was looked for nothing is known of it. */
  #judge(): void {
    this.#deps.keys.isLost = this.#isLacking && this.#seen?.devices.length === 0;
  }
}
