/**
 * The node's state in two places. After a power cut nothing of this host's kernel is left, and of containers little of the state
 * counts; after the agent's end all of it does, and the host remembers without a disk. So what is of a container counts as kept when
 * it is in the file below `/run`. It goes to the disk a moment later, waited for by nobody: a sync holds up those of others, and
 * etcd's may be for the very attach or detach that the change is of. What outlives a boot (`save`) is waited for.
 *
 * The file below `/run` belongs to the run of the agent that wrote it, and counts beside a file of the same run on the disk
 * alone, when it is the later one. Hence the first save of a run, and each until one has succeeded, waits for the disk and
 * leaves the other file as it is: with the disk's of the run before it is the latest still. Whoever moves the disk's file
 * away, puts one of another run in its place, or starts another node on this host is not contradicted by what is below
 * `/run`, and who puts an older one of the same run there is not after an agent that was told to end.
 */
import { OverlaydError } from '../../core/errors.ts';
import type { JsonFile, NodeState, StateFile } from '../../ports/files.ts';
import type { Clock } from '../../ports/runtime.ts';

export interface KeptStateDeps {
  /** Survives a power cut; `load` throws `state-unreadable`. */
  readonly disk: JsonFile<NodeState>;
  /** Survives the agent's end. */
  readonly run: JsonFile<NodeState>;
  readonly clock: Pick<Clock, 'sleep'>;
}

/** Longer than an attach or a detach takes; all changes of so long are written once. */
const FOLLOW_MS = 50;

/** What is about to go to the disk. */
interface Following {
  state: NodeState;
  readonly hurry: AbortController;
  /** When it is there. */
  done: Promise<void>;
}

export class KeptState implements StateFile {
  readonly #deps: KeptStateDeps;
  /** The run of the agent whose state the disk has, if it is one of this process. */
  #onDisk: string | undefined;
  /** Of this process, the run that writes, and those that were before it: what is still under way of one of them comes too late. */
  #current: string | undefined;
  readonly #over = new Set<string>();
  #following: Following | undefined;
  /** When the last that was to follow has. */
  #followed: Promise<void> | undefined;
  #hindrance: string | undefined;

  constructor(deps: KeptStateDeps) {
    this.#deps = deps;
  }

  get hindrance(): string | undefined {
    return this.#hindrance;
  }

  /** Begins another run: of the one before nothing is taken any more. */
  async load(): Promise<NodeState | undefined> {
    if (this.#current !== undefined) this.#over.add(this.#current);
    await this.#settle();
    const onDisk = await this.#deps.disk.load();
    if (onDisk === undefined) return undefined;
    // Without it, or with a part of it, the disk's is what there is.
    const kept = await this.#deps.run.load().catch(() => undefined);
    return kept && runOf(kept) === runOf(onDisk) && serialOf(kept) > serialOf(onDisk) ? kept : onDisk;
  }

  keep(state: NodeState): { readonly kept: Promise<void>; readonly onDisk: Promise<void> } {
    if (this.#over.has(runOf(state))) return refused();
    this.#current = runOf(state);
    const { done: onDisk, hurry } = this.#follow(state);
    if (this.#onDisk !== runOf(state)) {
      hurry.abort();
      return { kept: onDisk, onDisk };
    }
    const kept = this.#deps.run.save(state).then(
      () => {
        this.#hindrance = undefined;
      },
      (error: unknown) => {
        this.#hindrance = error instanceof Error ? error.message : String(error);
        hurry.abort();
        return onDisk;
      },
    );
    return { kept, onDisk };
  }

  save(state: NodeState): Promise<void> {
    const { kept, onDisk } = this.keep(state);
    kept.catch(() => undefined);
    this.#following?.hurry.abort();
    return onDisk;
  }

  /** In this order: alone, what is below `/run` counts for nothing. */
  async remove(): Promise<void> {
    await this.#settle();
    this.#onDisk = undefined;
    await this.#deps.disk.remove();
    await this.#deps.run.remove();
  }

  /** Of an agent that ends: what it kept is on the disk, and that file alone counts, also when another is put in its place. */
  async end(): Promise<void> {
    if (!this.#followed || !(await this.#settle())) return;
    // What stays there is what the disk has.
    await this.#deps.run.remove().catch(() => undefined);
  }

  #follow(state: NodeState): Following {
    if (this.#following) {
      this.#following.state = state;
      return this.#following;
    }
    const hurry = new AbortController();
    const following: Following = { state, hurry, done: Promise.resolve() };
    const due = this.#deps.clock.sleep(FOLLOW_MS, hurry.signal).catch(() => undefined);
    following.done = due.then(async () => {
      this.#following = undefined;
      const { state: latest } = following;
      await this.#deps.disk.save(latest);
      this.#onDisk = runOf(latest);
    });
    this.#following = following;
    this.#followed = following.done;
    return following;
  }

  /** What was to follow has, or has failed to: then false. */
  async #settle(): Promise<boolean> {
    this.#following?.hurry.abort();
    return await (this.#followed ?? Promise.resolve()).then(
      () => true,
      () => false,
    );
  }
}

function refused(): ReturnType<StateFile['keep']> {
  const message = 'the agent has begun anew meanwhile, and this was cut short; try again';
  const over = Promise.reject(new OverlaydError('cancelled', message, { retryable: true }));
  over.catch(() => undefined);
  return { kept: over, onDisk: over };
}

function runOf({ bootId, startedAt }: NodeState): string {
  return `${bootId} ${startedAt}`;
}

function serialOf({ serial = 0 }: NodeState): number {
  return serial;
}
