/** `overlayd drift`. */
import type { ClusterDrift, HostDrift } from '../../agent/drift/cluster-drift.ts';
import type { DriftRequest, HostDrift as HostDriftMessage } from '../../gen/overlayd/v1/control.ts';

export interface DriftHandlersDeps {
  readonly drift: Pick<ClusterDrift, 'find'>;
}

/** `nodeRef`: what is asked for where this host itself may be meant. */
export function driftHandlers({ drift }: DriftHandlersDeps, nodeRef: (ref: string) => string) {
  return {
    findDrift: async (
      asked: DriftRequest,
      emit: (found: HostDriftMessage) => Promise<void>,
      signal: AbortSignal,
    ): Promise<void> => drift.find({ ...asked, node: nodeRef(asked.node) }, (found) => emit(messageOf(found)), signal),
  };
}

function messageOf({ host, found }: HostDrift): HostDriftMessage {
  const of = { nodeId: host.id, nodeName: host.name };
  if (typeof found === 'string') return { ...of, found: undefined, reason: found };
  const { differs, repaired, putBack, ...rest } = found;
  return {
    ...of,
    found: { differs: [...differs], repaired: [...repaired], putBack: [...putBack], ...rest },
    reason: '',
  };
}
