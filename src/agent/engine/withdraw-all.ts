import { DRIVER } from '../../core/engine/engine.ts';
import type { Engine } from '../../ports/engine.ts';
import type { Logger } from '../../ports/runtime.ts';

/** Takes all of our networks out of the engine, for a host that leaves. What it refuses stays, and is told. */
export async function withdrawAll(engine: Engine, logger: Logger): Promise<void> {
  for (const { id, name, driver } of await engine.networks()) {
    if (driver !== DRIVER) continue;
    await engine.removeNetwork(id).catch((error: unknown) => {
      logger.warn({ network: name, error }, 'a network could not be removed from Docker');
    });
  }
}
