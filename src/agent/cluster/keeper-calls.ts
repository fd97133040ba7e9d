/**
 * What only keepers may do, asked of one of them (docs/adr/0024-a-node-writes-what-is-its-own.md): of this node itself where it is
 * one, else of those that are heard first. One that does not answer, or cannot do it now, costs a moment: the next is asked.
 */
import { asOverlaydError, type ErrorCode, OverlaydError } from '../../core/errors.ts';
import type { Liveness } from '../../core/failure-detector.ts';
import { STORE_LEVEL } from '../../core/levels.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { Answered, Asked, KeeperMethod, KeepersHandler, KeepersTransport } from '../../ports/keepers.ts';

export interface KeeperCallsDeps {
  readonly selfId: string;
  readonly keepers: () => readonly NodeRecord[];
  /** What the cluster speaks. */
  readonly level: () => number;
  readonly liveness: (nodeId: string) => Liveness;
  /** `host:port` of its listener; undefined: there is no way at the moment. */
  readonly addressOf: (node: NodeRecord) => string | undefined;
  readonly transport: KeepersTransport;
  /** What this node does itself. */
  readonly own: KeepersHandler;
  /** It has the CA's key, as members of before there were keepers have. */
  readonly hasCaKey: () => boolean;
}

const TIMEOUT_MS = 10_000;
/** Another keeper may be able to. */
const ELSEWHERE: ReadonlySet<ErrorCode> = new Set([
  'keeper-unreachable',
  'peer-refused',
  'peer-unreachable',
  'store-failed',
  'store-unavailable',
]);

/** What must not happen twice: whoever has got the question, and does not answer, may be at it still. */
const ONCE: ReadonlySet<KeeperMethod> = new Set(['moveStoreAway', 'putBackStore']);

export class KeeperCalls {
  readonly #deps: KeeperCallsDeps;

  constructor(deps: KeeperCallsDeps) {
    this.#deps = deps;
  }

  /** Throws what the keeper throws; `keeper-unreachable` (retryable) when none answers. */
  async ask<M extends KeeperMethod>(method: M, asked: Asked<M>, timeoutMs = TIMEOUT_MS): Promise<Answered<M>> {
    const { own, selfId } = this.#deps;
    if (!this.#isMine(method)) return this.askOthers(method, asked, timeoutMs);
    try {
      return (await own[method](asked as never, selfId)) as Answered<M>;
    } catch (thrown) {
      // One that has just become a keeper has its rights in etcd a moment later.
      if (asOverlaydError(thrown).code !== 'store-failed' || this.#keepers().length === 0) throw thrown;
      return this.askOthers(method, asked, timeoutMs);
    }
  }

  /** Never of this node itself, whatever it could do. */
  async askOthers<M extends KeeperMethod>(method: M, asked: Asked<M>, timeoutMs = TIMEOUT_MS): Promise<Answered<M>> {
    const { transport, addressOf } = this.#deps;
    const failures: string[] = [];
    for (const node of this.#keepers()) {
      try {
        const address = addressOf(node);
        if (address === undefined) throw new OverlaydError('peer-unreachable', 'there is no way to it yet');
        const peer = { nodeId: node.id, address };
        const answered = transport.ask(peer, method, asked, timeoutMs);
        return await (ONCE.has(method) ? answered.catch((error: unknown) => refuseAgain(node, error)) : answered);
      } catch (thrown) {
        const { code, message } = asOverlaydError(thrown);
        if (!ELSEWHERE.has(code)) throw thrown;
        failures.push(`${node.name}: ${message}`);
      }
    }
    throw unreachable(failures);
  }

  #isMine(method: KeeperMethod): boolean {
    const { hasCaKey, keepers, level, selfId } = this.#deps;
    if (method === 'admit' || method === 'renew') return hasCaKey();
    return level() < STORE_LEVEL || keepers().some(({ id }) => id === selfId);
  }

  /** The others, those first that are heard. */
  #keepers(): NodeRecord[] {
    const { keepers, liveness, selfId } = this.#deps;
    const others = keepers().filter(({ id }) => id !== selfId);
    const rank = ({ id }: NodeRecord) => ['ready', 'suspect'].indexOf(liveness(id)) >>> 0;
    return others.sort((a, b) => rank(a) - rank(b));
  }
}

/** Throws `conflict` where it may have begun; else what the keeper threw, or why it was not reached. */
function refuseAgain({ name }: NodeRecord, thrown: unknown): never {
  const { code, message, nothingDone } = asOverlaydError(thrown);
  if (code !== 'peer-unreachable' || nothingDone) throw thrown;
  throw new OverlaydError(
    'conflict',
    `${name} was asked, and may be at it still (${message}): no other host is asked, so that it does not happen twice. \`overlayd status\` and the log there tell how it ended; if it did not, run the same command again`,
    { cause: thrown },
  );
}

function unreachable(failures: readonly string[]): OverlaydError {
  const who =
    failures.length === 0
      ? 'this host knows of no keeper of the cluster yet'
      : `no keeper of the cluster can do this now (${failures.join('; ')})`;
  return new OverlaydError(
    'keeper-unreachable',
    `${who}; bring one of the hosts back that \`overlayd node ls\` shows as keepers. Existing networks go on`,
    { retryable: true },
  );
}
