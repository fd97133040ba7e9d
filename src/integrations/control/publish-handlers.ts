/** The control service's part about published ports. */
import type { Membership } from '../../agent/lifecycle.ts';
import { type ListedPublication, listPublications, publish, unpublish } from '../../agent/publish/publishing.ts';
import { formatHostEnd } from '../../core/publish.ts';
import type { Publication, PublishRequest } from '../../gen/overlayd/v1/control.ts';
import type { HostFacts } from '../../ports/host.ts';

export function publishHandlers(
  { facts }: { readonly facts: Pick<HostFacts, 'bindProblem'> },
  active: () => Membership,
  any: () => Membership,
) {
  return {
    publish: async ({ publication: text }: PublishRequest) => {
      const { publication, warnings } = await publish({ facts, member: active().member }, text);
      return { publication: publicationMessage(publication), warnings: [...warnings] };
    },
    unpublish: async ({ publication }: PublishRequest) => publicationMessage(await unpublish(any(), publication)),
    listPublications: async () => ({ publications: listPublications(any()).map(publicationMessage) }),
  };
}

function publicationMessage(listed: ListedPublication): Publication {
  const { networkId, network, name, protocol, hostAddress, hostPort, port, addresses, waitsFor, tool } = listed;
  return {
    ...{ hostAddress: hostAddress ?? '', hostPort, protocol, name, port },
    ...{ networkId, networkName: network?.name ?? '', addresses: [...addresses] },
    ...{ waitsFor: waitsFor ?? '', tool: tool ?? '', hostEnd: formatHostEnd(listed) },
  };
}
