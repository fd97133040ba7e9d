/** `etcdserverpb.Cluster`, as our port has it. What etcd refuses since it is so already is told by looking, not by its words. */
import { ClusterService, MaintenanceService, type Member } from '../../gen/etcd/rpc.ts';
import type { StoreMember, StoreMembership } from '../../ports/store.ts';
import type { EtcdConnection } from './connection.ts';
import { formatMemberId, parseMemberId } from './member-id.ts';
import { isNotFound, isPrecondition } from './store-error.ts';

/** What has happened is refused the second time, which is looked at here. */
const AGAIN = { repeatable: true } as const;

export function createMembership(connection: EtcdConnection): StoreMembership {
  const members = async (): Promise<readonly StoreMember[]> => {
    const answer = await connection.call(ClusterService.memberList, { linearizable: true }, AGAIN);
    return answer.members.map(decodeMember);
  };
  const withPeer = async (peerUrl: string) => (await members()).find(({ peerUrls }) => peerUrls.includes(peerUrl));
  const withId = async (id: string) => (await members()).find((member) => member.id === id);
  const leader = async () => formatMemberId((await connection.call(MaintenanceService.status, {}, AGAIN)).leader);

  return {
    members,

    async addLearner(peerUrl) {
      const known = await withPeer(peerUrl);
      if (known) return known;
      try {
        const { member } = await connection.call(
          ClusterService.memberAdd,
          { peerURLs: [peerUrl], isLearner: true },
          AGAIN,
        );
        return decodeMember(member!);
      } catch (error) {
        const made = isPrecondition(error) ? await withPeer(peerUrl) : undefined;
        if (made) return made;
        throw error;
      }
    },

    async promote(memberId) {
      const all = await members();
      if (all.find(({ id }) => id === memberId)?.isLearner === false) return true;
      // The leader itself: a follower passes the question on without saying whose it is, which is refused once etcd asks for
      // users, and passes it on again until its time is up (`findings/etcd-promotion-through-a-follower.sh`).
      const leaderId = await leader();
      const endpoint = all.find(({ id }) => id === leaderId)?.clientUrls[0];
      if (endpoint === undefined) return false;
      try {
        await connection.ask(endpoint, ClusterService.memberPromote, { ID: parseMemberId(memberId) });
        return true;
      } catch (error) {
        if (!isPrecondition(error)) throw error;
        return (await withId(memberId))?.isLearner === false;
      }
    },

    async remove(memberId) {
      try {
        await connection.call(ClusterService.memberRemove, { ID: parseMemberId(memberId) }, AGAIN);
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    },

    async move(memberId, peerUrl) {
      if ((await withId(memberId))?.peerUrls.join() === peerUrl) return;
      const request = { ID: parseMemberId(memberId), peerURLs: [peerUrl] };
      await connection.call(ClusterService.memberUpdate, request, AGAIN);
    },

    async handOver(memberId, to) {
      if ((await leader()) !== memberId || memberId === to) return;
      // Only the leader does it.
      const endpoint = (await withId(memberId))?.clientUrls[0];
      if (endpoint === undefined) return;
      try {
        await connection.ask(endpoint, MaintenanceService.moveLeader, { targetID: parseMemberId(to) });
      } catch (error) {
        if (!isPrecondition(error)) throw error;
        if ((await leader()) === memberId) throw error;
      }
    },
  };
}

function decodeMember({ ID, name, peerURLs, clientURLs, isLearner }: Member): StoreMember {
  return { id: formatMemberId(ID), name, peerUrls: peerURLs, clientUrls: clientURLs, isLearner };
}
