import { DRIVER } from '../../core/engine/engine.ts';
import type { Engine } from '../../ports/engine.ts';
import type { Logger } from '../../ports/runtime.ts';

/**
 * Takes all of our networks out of the engine, for a host that leaves, with the containers that are cut off by that. What it
 * refuses stays, and is told.
 */
export async function withdrawAll(engine: Engine, logger: Logger): Promise<void> {
  for (const { id, name, driver } of await engine.networks()) {
    if (driver !== DRIVER) continue;
    for (const { containerId } of (await engine.members(id).catch(() => undefined))?.members ?? [])
      await engine.disconnect(id, containerId, true).catch(() => undefined);
    await engine.removeNetwork(id).catch((error: unknown) => {
      logger.warn({ network: name, error }, 'a network could not be removed from Docker');
    });
  }
}
