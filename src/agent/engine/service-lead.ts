/** A container's way to the service address, where its engine could not be told to make it: see `core/engine/service-route.ts`. */
import { isHandedOver, type LocalEndpoint } from '../../core/container.ts';
import { serviceWay } from '../../core/engine/service-route.ts';
import type { Kernel } from '../../ports/kernel.ts';
import type { Logger } from '../../ports/runtime.ts';

export interface ServiceLeadDeps {
  readonly kernel: Pick<Kernel, 'apply'>;
  readonly logger: Logger;
}

export async function leadToService(
  { kernel, logger }: ServiceLeadDeps,
  { container, engine, ifname, record }: LocalEndpoint,
): Promise<void> {
  if (engine?.serviceMetric === undefined || isHandedOver(container)) return;
  const op = { kind: 'set-route', at: container.path, route: serviceWay(engine, ifname) } as const;
  const planned = { op, reason: 'create', network: undefined, endpointId: record.id } as const;
  const { failures } = await kernel.apply({ stages: [{ essential: false, ops: [planned] }], gone: [] });
  for (const { error } of failures) {
    logger.warn({ endpoint: record.name, error }, 'the endpoint has no way to the service address');
  }
}
