/** The control service's part about the CA. */
import { progressOf, waitingWords } from '../../agent/cluster/ca-rotation.ts';
import { nodeState } from '../../agent/cluster/nodes.ts';
import type { Membership } from '../../agent/lifecycle.ts';
import { OverlaydError } from '../../core/errors.ts';
import { keepersOf, saidOf } from '../../core/keepers.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { CaStatus, Empty } from '../../gen/overlayd/v1/control.ts';
import { type Emit, type HandlersDeps, progressTo, resultEvent } from './handlers.ts';

/** The view is looked at so often while somebody waits. */
const LOOK_MS = 200;

export function caHandlers(
  { clock, pki }: Pick<HandlersDeps, 'clock' | 'pki'>,
  active: () => Membership,
  any: () => Membership,
) {
  const statusOf = ({ member }: Membership): CaStatus => {
    const { view } = member;
    const cluster = view.cluster();
    if (!cluster) {
      throw new OverlaydError('store-unavailable', "the cluster's record is not known here yet; try again", {
        retryable: true,
      });
    }
    const { caCertificate, nextCaCertificate } = cluster;
    const progress = progressOf(pki, cluster, view.nodes());
    const keepers = keepersOf(view.nodes(), saidOf(view)).map(({ id }) => id);
    const of = { liveness: (nodeId: string) => member.liveness(nodeId), selfId: member.self.id, clock };
    const stateOf = (nodeId: string) => {
      const node = view.node(nodeId);
      return node ? nodeState(of, node) : 'down';
    };
    return {
      digest: pki.digest(caCertificate),
      nextDigest: nextCaCertificate === undefined ? '' : pki.digest(nextCaCertificate),
      expiresAtMs: pki.validity(caCertificate).notAfter,
      phase: progress.phase ?? '',
      nodes: progress.nodes.map(({ node, trustsNext, certifiedByNext, isAwaited }) => ({
        ...{ id: node.id, name: node.name, state: stateOf(node.id), keeper: keepers.includes(node.id) },
        ...{ trustsNext, certifiedByNext, awaited: isAwaited },
      })),
      waiting: progress.phase === undefined ? '' : waitingWords(progress, stateOf),
    };
  };

  return {
    getCa: async () => statusOf(any()),
    rotateCa: async (_: Empty, emit: Emit, gone: AbortSignal) => {
      const found = active();
      const before = statusOf(found).digest;
      const progress = progressTo(emit);
      await found.keepers.ask('rotateCa', {});
      let said = '';
      for (let status = statusOf(any()); status.digest === before; status = statusOf(any())) {
        if (status.waiting !== said) progress(status.waiting);
        said = status.waiting;
        await clock.sleep(LOOK_MS, gone);
      }
      // The former one goes as members hear of it; etcd of a keeper is started anew for that.
      const { digest } = statusOf(any());
      const late = ({ id, trusts }: NodeRecord) =>
        trusts?.join() !== digest && (id === found.identity.nodeId || found.member.liveness(id) === 'ready');
      while ([...any().member.view.nodes()].some((node) => !node.left && late(node))) {
        progress('the former CA goes');
        await clock.sleep(LOOK_MS, gone);
      }
      emit(resultEvent(found.identity, '', []));
    },
  };
}
