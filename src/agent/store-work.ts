/**
 * Steps over the store as a whole: backups, what is restored of them, and where it is. Whichever host a command is typed on: what
 * only a keeper may do one is asked to do, and what needs files or an etcd of this host is done here.
 */
import { isOverlaydError, OverlaydError } from '../core/errors.ts';
import { keepersOf, saidOf } from '../core/keepers.ts';
import type { Packing } from '../ports/files.ts';
import type { StoreChangedThere } from '../ports/keepers.ts';
import type { Clock } from '../ports/runtime.ts';
import { type EtcdOptions, parseStoreAccess } from './cluster/store-access.ts';
import type { Lifecycle, Membership } from './lifecycle.ts';
import { type LoginOptions, logIn } from './store/login.ts';
import { moveStore } from './store/move.ts';
import {
  type BackupMade,
  backUpStore,
  type RestoreOptions,
  restoreStore,
  type StoreChangeDeps,
  type StoreChanged,
} from './store/restore.ts';

export type StoreWorkDeps = Pick<StoreChangeDeps, 'agent' | 'etcd' | 'openStore' | 'pki' | 'random'> & {
  readonly lifecycle: Pick<Lifecycle, 'changeStore' | 'require'>;
  readonly packing: Packing;
  readonly clock: Pick<Clock, 'now' | 'sleep'>;
};

type Progress = (text: string) => void;

const RESTORING = 'restoring the store';
const MOVING = 'moving the store';
const LOGGING_IN = 'changing the certificate for etcd';
/** A keeper answers when all records are written. */
const THERE_MS = 300_000;
/** What one message to a keeper takes, packed, and what comes out of it. */
const MOST_PACKED_BYTES = 3_500_000;
const MOST_BYTES = 128 * 1024 ** 2;

export class StoreWork {
  readonly #deps: StoreWorkDeps;

  constructor(deps: StoreWorkDeps) {
    this.#deps = deps;
  }

  backUp(fromHere: boolean): Promise<BackupMade> {
    return backUpStore(this.#of(this.#deps.lifecycle.require()), fromHere);
  }

  /** Returns warnings. Throws what {@link restoreStore} throws, and `keeper-unreachable`. */
  async restore(options: RestoreOptions, progress: Progress): Promise<readonly string[]> {
    return await this.#orThere(
      () => this.#change(RESTORING, (deps) => restoreStore(deps, options, progress)),
      async ({ keepers }) => {
        progress('asking a keeper to restore the store');
        const text = options.backup ?? (await this.backUp(true)).text;
        const backup = await this.#deps.packing.pack(text);
        if (backup.length > MOST_PACKED_BYTES) throw tooLarge();
        return await keepers.askOthers('putBackStore', { backup }, THERE_MS);
      },
    );
  }

  /** The same of {@link moveStore}. Throws `invalid-argument`. */
  async move(options: EtcdOptions, progress: Progress): Promise<readonly string[]> {
    const to = parseStoreAccess(options);
    return await this.#orThere(
      () => this.#change(MOVING, (deps) => moveStore(deps, to, progress)),
      async ({ keepers }) => {
        progress('asking a keeper to move the store');
        return await keepers.askOthers('moveStoreAway', { ...options }, THERE_MS);
      },
      // An etcd of this host begins here alone.
      to !== undefined,
    );
  }

  /** Of this host alone. Throws what {@link logIn} throws. */
  logIn(options: LoginOptions, progress: Progress): Promise<readonly string[]> {
    return this.#change(LOGGING_IN, (deps) => logIn(deps, options, progress));
  }

  /** As a keeper, for a member. */
  async putBackFor(packed: Uint8Array): Promise<StoreChangedThere> {
    const backup = await this.#deps.packing.unpack(packed, MOST_BYTES);
    return {
      warnings: await this.#change(RESTORING, (deps) => restoreStore(deps, { backup, newStore: false }, silent)),
    };
  }

  /** The same. This member starts anew when whoever asked has been answered. */
  async moveAwayFor(options: EtcdOptions): Promise<StoreChangedThere> {
    const to = parseStoreAccess(options);
    if (!to) throw new OverlaydError('invalid-argument', 'no etcd is named to which the store is to be moved');
    const { promise, resolve, reject } = Promise.withResolvers<StoreChangedThere>();
    const steps = async (deps: StoreChangeDeps) => {
      const done = await moveStore(deps, to, silent);
      resolve({ warnings: done.warnings });
      await this.#deps.clock.sleep(ANSWERED_MS);
      return done;
    };
    this.#change(MOVING, steps).catch(reject);
    return await promise;
  }

  async #change(what: string, steps: (deps: StoreChangeDeps) => Promise<StoreChanged>): Promise<readonly string[]> {
    const { warnings } = await this.#deps.lifecycle.changeStore(what, (membership) => steps(this.#of(membership)));
    return warnings;
  }

  /** What is refused here because this host is no keeper has changed nothing, and a keeper does it. */
  async #orThere(
    here: () => Promise<readonly string[]>,
    there: (membership: Membership) => Promise<StoreChangedThere>,
    mayBeThere = true,
  ): Promise<readonly string[]> {
    try {
      return await here();
    } catch (error) {
      if (!isOverlaydError(error, 'permission-denied') || !mayBeThere) throw error;
      return (await there(this.#deps.lifecycle.require())).warnings;
    }
  }

  #of({ identity, member, store }: Membership): StoreChangeDeps {
    const { packing: _, lifecycle: __, ...deps } = this.#deps;
    return {
      ...{ ...deps, identity, store, self: member.self, table: member.table },
      keepers: keepersOf(member.view.nodes(), saidOf(member.view)),
      isAway: (nodeId) => nodeId !== identity.nodeId && member.liveness(nodeId) !== 'ready',
    };
  }
}

/** For the answer to be on its way before the connection ends. */
const ANSWERED_MS = 500;

const silent = () => undefined;

function tooLarge(): OverlaydError {
  return new OverlaydError(
    'invalid-argument',
    'the backup is too large to be passed on to a keeper: run the command on one (`overlayd ca status`), with the file there',
  );
}
