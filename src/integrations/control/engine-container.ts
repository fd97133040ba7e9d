/** `connect` of a container that a container engine runs: the engine itself connects it, so that it knows. */

import type { ConnectRequest } from '../../agent/endpoints/endpoints.ts';
import type { EngineSide } from '../../agent/engine/engine-side.ts';
import type { Member } from '../../agent/member.ts';
import { refuseEndpointOptions, refuseGatewayPriority } from '../../core/endpoint-options.ts';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { WAYS_TO_WRITE } from '../../core/named-container.ts';
import type { Connected } from '../../gen/overlayd/v1/control.ts';
import { endpointMessage } from './messages.ts';

export async function connectThroughEngine(
  member: Member,
  { containers, version }: EngineSide,
  {
    network: ref,
    container,
    name,
    aliases,
    ip,
    ip6,
    mac,
    ifname,
    gwPriority,
    options = {},
    ports = [],
    labels = {},
  }: ConnectRequest,
): Promise<Connected> {
  if (name !== undefined) {
    throw new OverlaydError(
      'invalid-argument',
      '--name: a Docker container goes by its own name; give other names with --alias, or use `docker rename`',
    );
  }
  if (ifname !== undefined) {
    throw new OverlaydError(
      'invalid-argument',
      '--ifname: Docker itself names the interfaces of its containers; leave it out',
    );
  }
  if (mac !== undefined) {
    throw new OverlaydError(
      'invalid-argument',
      '--mac: Docker gives a container a MAC address of choice when it makes it, and ignores it later: docker run --network NETWORK --mac-address MAC; or leave it out',
    );
  }
  if (ports.length > 0 || Object.keys(labels).length > 0) {
    throw new OverlaydError(
      'invalid-argument',
      '--port, --label: a Docker container declares its ports itself when it is made: docker run --expose 8080 --label overlayd.port.http=8080, or EXPOSE and LABEL of its image',
    );
  }
  const refused = refuseEndpointOptions(options, version);
  if (refused !== undefined) throw new OverlaydError('unknown-option', refused);
  const unknown = gwPriority === undefined ? undefined : refuseGatewayPriority(version);
  if (unknown !== undefined) throw new OverlaydError('invalid-argument', unknown);
  const network = await member.networks.find(ref);
  const record = await containers
    .connect(network, container, { aliases, ip, ip6, gwPriority, options })
    .catch((error: unknown) => {
      if (!isOverlaydError(error, 'engine-unavailable')) throw error;
      const hint = `a container that is not Docker's is written ${WAYS_TO_WRITE}`;
      throw new OverlaydError(error.code, `container ${container}: ${error.message}; ${hint}`, {
        cause: error,
        retryable: true,
      });
    });
  if (record) return { endpoint: endpointMessage(member, record), warnings: [] };
  return {
    endpoint: undefined,
    warnings: [`container ${container} does not run: it joins ${network.name} when it starts`],
  };
}
