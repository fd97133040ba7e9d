/**
 * The node's state in two places. After a power cut nothing of this host's kernel is left, and little of the state counts;
 * after the agent's end all of it does, and the host remembers without a disk. So a change counts as kept when it is in
 * the file below `/run`, and goes to the disk at once, waited for by nobody.
 *
 * The file below `/run` belongs to the run of the agent that wrote it, and counts beside a file of the same run on the disk
 * alone, when it is the later one. Hence the first save of a run, and each until one has succeeded, waits for the disk and
 * leaves the other file as it is: with the disk's of the run before it is the latest still. Whoever moves the disk's file
 * away, puts an older one in its place, or starts another node on this host is not contradicted by what is below `/run`.
 */
import type { JsonFile, NodeState, StateFile } from '../ports.ts';

export interface KeptStateDeps {
  /** Survives a power cut; `load` throws `state-unreadable`. */
  readonly disk: JsonFile<NodeState>;
  /** Survives the agent's end. */
  readonly run: JsonFile<NodeState>;
}

export class KeptState implements StateFile {
  readonly #disk: JsonFile<NodeState>;
  readonly #run: JsonFile<NodeState>;
  /** The run of the agent whose state the disk has, if it is one of this process. */
  #onDisk: string | undefined;
  #hindrance: string | undefined;

  constructor({ disk, run }: KeptStateDeps) {
    this.#disk = disk;
    this.#run = run;
  }

  get hindrance(): string | undefined {
    return this.#hindrance;
  }

  async load(): Promise<NodeState | undefined> {
    const onDisk = await this.#disk.load();
    if (onDisk === undefined) return undefined;
    // Without it, or with a part of it, the disk's is what there is.
    const kept = await this.#run.load().catch(() => undefined);
    return kept && runOf(kept) === runOf(onDisk) && serialOf(kept) > serialOf(onDisk) ? kept : onDisk;
  }

  save(state: NodeState): { readonly kept: Promise<void>; readonly onDisk: Promise<void> } {
    const run = runOf(state);
    const hasRun = this.#onDisk === run;
    const onDisk = this.#disk.save(state).then(() => {
      this.#onDisk = run;
    });
    if (!hasRun) return { kept: onDisk, onDisk };
    const kept = this.#run.save(state).then(
      () => {
        this.#hindrance = undefined;
      },
      (error: unknown) => {
        this.#hindrance = error instanceof Error ? error.message : String(error);
        return onDisk;
      },
    );
    return { kept, onDisk };
  }

  /** In this order: alone, what is below `/run` counts for nothing. */
  async remove(): Promise<void> {
    this.#onDisk = undefined;
    await this.#disk.remove();
    await this.#run.remove();
  }
}

function runOf({ bootId, startedAt }: NodeState): string {
  return `${bootId} ${startedAt}`;
}

function serialOf({ serial = 0 }: NodeState): number {
  return serial;
}
