/**
 * Whether a host that its store does not let in is a member still. The bundled etcd refuses the certificate of one that was removed
 * before it says a word, so from there it looks like an etcd that is away. Agents of keepers tell, at the port for hosts that
 * join, which lets everybody in: one of them at a time, less and less often. Only words follow: nothing is taken away here.
 */
import { OverlaydError, removedNode } from '../../core/errors.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';

export interface RemovalWatchDeps {
  readonly member: {
    readonly self: Pick<NodeRecord, 'advertiseAddress' | 'id' | 'joinPort'>;
    readonly removed: boolean;
    readonly storeConnected: boolean;
    readonly view: { nodes(): Iterable<Pick<NodeRecord, 'advertiseAddress' | 'joinPort'>> };
  };
  /** Hosts of the bundled etcd; empty where etcd is the user's own. */
  readonly storeHosts: () => readonly string[];
  /** Whether the node is a member, as the keeper there has it from etcd; undefined: it does not know. Throws where there is none. */
  readonly ask: (host: string, port: number, nodeId: string) => Promise<boolean | undefined>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly random: Random;
  readonly logger: Logger;
}

const FIRST_MS = 2_000;
const LAST_MS = 60_000;
/** Not every host asks the same keeper first. */
const MOST_KEEPERS = 5;

export class RemovalWatch {
  readonly #deps: RemovalWatchDeps;
  #isTold = false;

  constructor(deps: RemovalWatchDeps) {
    this.#deps = deps;
  }

  /** A keeper has said so, and etcd has not been heard since. */
  get isTold(): boolean {
    return this.#isTold && !this.#deps.member.storeConnected;
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, member, random } = this.#deps;
    let pauseMs = FIRST_MS;
    for (let turn = Math.floor(random.next() * MOST_KEEPERS); !signal.aborted; turn++) {
      await clock.sleep(pauseMs, signal, 'loosely');
      pauseMs = member.storeConnected ? FIRST_MS : Math.min(LAST_MS, 2 * pauseMs);
      if (member.storeConnected) this.#isTold = false;
      else {
        const isMember = await this.#ask(turn);
        if (signal.aborted) return;
        if (isMember === false && !this.#isTold && !member.removed) logger.warn({}, removedNode().message);
        this.#isTold = isMember === undefined ? this.#isTold : !isMember;
      }
    }
  }

  async #ask(turn: number): Promise<boolean | undefined> {
    const { ask, logger, member, storeHosts } = this.#deps;
    const { advertiseAddress, id } = member.self;
    const hosts = storeHosts().filter((host) => host !== advertiseAddress);
    const host = hosts[turn % hosts.length];
    const keeper = [...member.view.nodes()].find((node) => node.advertiseAddress === host);
    const { joinPort } = keeper ?? member.self;
    try {
      return host === undefined ? undefined : await ask(host, joinPort, id);
    } catch (error) {
      if (!(error instanceof OverlaydError)) throw error;
      logger.debug({ host, reason: error.message }, 'a keeper does not say whether this node is a member');
      return undefined;
    }
  }
}
