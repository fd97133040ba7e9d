/** The control service's part about aliases with addresses of their own. */
import type { Membership } from '../../agent/lifecycle.ts';
import {
  createService,
  getService,
  type ListedService,
  listServices,
  removeService,
  type ServicesDeps,
} from '../../agent/services/services.ts';
import type { CreateServiceRequest, Service, ServiceQuery, ServiceRef } from '../../gen/overlayd/v1/control.ts';
import type { HandlersDeps, HandlersOptions } from './handlers.ts';

export function serviceHandlers(
  { clock, logger, random }: Pick<HandlersDeps, 'clock' | 'logger' | 'random'>,
  options: HandlersOptions,
  active: () => Membership,
  any: () => Membership,
) {
  const of = ({ member, store }: Membership): ServicesDeps => {
    const { claims, commit, networks, view } = member;
    return {
      ...{ claims, commit, networks, view, store, clock, logger, random, selfId: member.self.id },
      liveness: (nodeId) => member.liveness(nodeId),
      converge: (networkId) => member.reconciler.converge(networkId, { waysAlone: true }),
    };
  };
  const message = (found: ListedService) => serviceMessage(any(), found);
  return {
    createService: async ({ network, alias, ip, ip6 }: CreateServiceRequest) => {
      const given = (text: string) => (text === '' ? undefined : text);
      return message(await createService(of(active()), { network, alias, ip: given(ip), ip6: given(ip6) }));
    },
    removeService: async (request: ServiceRef) => message(await removeService(of(active()), request, options)),
    getService: async ({ network, alias }: ServiceRef) => message(await getService(of(any()), network, alias)),
    listServices: async ({ network }: ServiceQuery) => {
      const services = await listServices(of(any()), network === '' ? undefined : network);
      return { services: services.map(message) };
    },
  };
}

function serviceMessage({ member }: Membership, { network, service, backends }: ListedService): Service {
  return {
    ...{ id: service.id, networkId: network.id, networkName: network.name, alias: service.name },
    addresses: service.addresses.map(({ ip }) => ip),
    createdAtMs: service.createdAt,
    automatic: service.automatic ?? false,
    backends: backends.map(({ endpoint, address, out }) => ({
      ...{ endpointId: endpoint.id, name: endpoint.name, address, out: out ?? '' },
      nodeName: member.view.node(endpoint.nodeId)?.name ?? '',
    })),
  };
}
