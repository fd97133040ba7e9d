/** `connect` and `disconnect` of an instance of Incus: its own configuration keeps what it is connected to. */
import type { ConnectRequest } from '../../agent/endpoints/endpoints.ts';
import type { IncusSide } from '../../agent/incus/incus-side.ts';
import type { Member } from '../../agent/member.ts';
import type { Connected, Endpoint } from '../../gen/overlayd/v1/control.ts';
import { endpointMessage } from './messages.ts';

export type ThroughIncus = Pick<IncusSide, 'connect' | 'disconnect' | 'find'>;

/** `name`: as `incus:NAME` has it. */
export async function connectThroughIncus(
  member: Member,
  incus: ThroughIncus,
  request: ConnectRequest,
  name: string,
): Promise<Connected> {
  const connection = await incus.connect(request, name);
  if (connection)
    return { endpoint: endpointMessage(member, connection.endpoint.record), warnings: [...connection.warnings] };
  const network = await member.networks.find(request.network);
  const warning = `container ${request.container} does not run: it joins ${network.name} when it starts`;
  return { endpoint: undefined, warnings: [warning] };
}

/** Undefined: it is none of Incus'. */
export async function disconnectThroughIncus(
  member: Member,
  incus: ThroughIncus | undefined,
  networkRef: string,
  container: string,
): Promise<Endpoint | undefined> {
  const network = await member.networks.find(networkRef);
  const endpoint = incus?.find(network.id, container);
  if (!incus || !endpoint) return undefined;
  const message = endpointMessage(member, endpoint.record);
  await incus.disconnect(endpoint, network.name);
  return message;
}
