/**
 * Containers that do not run name their networks by the engine's id: those of a network that the engine dropped, and that
 * came back with another one, would not start (`network c0ec… not found`).
 */
import { isOverlaydError } from '../../core/errors.ts';
import type { Engine } from '../../ports/engine.ts';
import type { Logger } from '../../ports/runtime.ts';

export interface ReturnedNetwork {
  /** The engine's ids of what it dropped and of what is there now, and the name of that. */
  readonly former: string;
  readonly now: string;
  readonly network: string;
  /** A person had bound the dropped one. Under a name of its own that name is gone, as they wanted. */
  readonly bound: boolean;
}

/** Whether a container that does not run, or is just being started again, is on the network. */
export async function hasStopped(engine: Engine, engineNetworkId: string): Promise<boolean> {
  for (const id of await engine.stopped()) {
    const container = await engine.inspect(id);
    if (container?.networks.some(({ networkId }) => networkId === engineNetworkId)) return true;
  }
  return false;
}

/** Throws what stands in the way of all of them; one that is refused is told in the log. */
export async function reconnectStopped(
  { engine, logger }: { readonly engine: Engine; readonly logger: Logger },
  { former, now, network, bound }: ReturnedNetwork,
): Promise<void> {
  for (const id of await engine.stopped()) {
    const container = await engine.inspect(id);
    const attachment = container?.networks.find((each) => each.networkId === former);
    if (!container || !attachment) continue;
    const renamed = attachment.network !== network;
    if (renamed && bound) continue;
    const names = { network, container: container.name };
    const aliases = attachment.aliases.filter((alias) => !id.startsWith(alias));
    try {
      const { ip, ip6, gwPriority, options } = attachment;
      await engine.connect(now, id, { aliases, ip, ip6, gwPriority, options });
      if (renamed) await engine.disconnect(attachment.network, id, true);
      logger.info(names, 'container connected to the network that came back');
    } catch (error) {
      if (!isOverlaydError(error) || error.retryable) throw error;
      logger.warn(
        { ...names, error },
        'a container does not start until it is connected to the network that came back',
      );
    }
  }
}
