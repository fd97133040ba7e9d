import type { NamesSession } from '../../ports/names.ts';

/**
 * The session, with in mind where the process may have sockets. Where it has none it need not be asked to let go: the first
 * container of a network would wait for that.
 */
export function knowingSockets(session: NamesSession): NamesSession {
  // It may have any, from a run of the agent before.
  if (!session.isNew) return session;
  const held = new Set<string>();
  return {
    ended: session.ended,
    tell: (news) => session.tell(news),
    async ask(request) {
      if (request.kind !== 'listen' && request.kind !== 'close' && request.kind !== 'release')
        return session.ask(request);
      const { networkId } = request;
      if (networkId === undefined) return await session.ask(request);
      if (request.kind === 'release' && request.namespacePath === undefined && !held.has(networkId)) return;
      // At once, as the process does one after the other: it may be asked to listen again before it has answered.
      if (request.kind === 'listen') held.add(networkId);
      else held.delete(networkId);
      try {
        await session.ask(request);
      } catch (error) {
        held.add(networkId);
        throw error;
      }
    },
  };
}
