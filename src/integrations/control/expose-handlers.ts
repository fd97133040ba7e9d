/** The control service's part about this host as an endpoint of networks. */
import type { Exposing } from '../../agent/expose/exposing.ts';
import type { Membership } from '../../agent/lifecycle.ts';
import type { Endpoint, Exposed, ExposeRequest, Ref } from '../../gen/overlayd/v1/control.ts';
import { endpointMessage } from './messages.ts';

export function exposeHandlers(
  { exposing }: { readonly exposing: Exposing },
  active: () => Membership,
  any: () => Membership,
) {
  return {
    expose: async ({ network, name, aliases, ip, ip6 }: ExposeRequest): Promise<Exposed> => {
      const { member } = active();
      const given = (text: string) => (text === '' ? undefined : text);
      const asked = { network, name: given(name), aliases, ip: given(ip), ip6: given(ip6) };
      const { record, names } = await exposing.expose(asked);
      const { servers, domain, isAsked } = names;
      return { endpoint: endpointMessage(member, record), nameServers: [...servers], domain, namesAsked: isAsked };
    },
    unexpose: async ({ ref }: Ref): Promise<Endpoint> => {
      const { member } = any();
      return endpointMessage(member, await exposing.unexpose(ref));
    },
  };
}
