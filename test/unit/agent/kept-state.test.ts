import { expect, it } from 'vitest';
import { KeptState } from '../../../src/agent/kept-state.ts';
import type { JsonFile, NodeState } from '../../../src/ports.ts';

/** A file whose writes end when the test says so. */
class SlowFile implements JsonFile<NodeState> {
  content: NodeState | undefined;
  unreadable = false;
  readonly waiting: { readonly write: () => void; readonly fail: () => void }[] = [];

  async load(): Promise<NodeState | undefined> {
    if (this.unreadable) throw new Error('not usable');
    return this.content;
  }

  save(value: NodeState): Promise<void> {
    return this.#queue(value);
  }

  remove(): Promise<void> {
    return this.#queue(undefined);
  }

  #queue(value: NodeState | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const write = () => {
        this.content = value;
        resolve();
      };
      this.waiting.push({ write, fail: () => reject(new Error('no space left on device')) });
    });
  }

  /** The oldest write ends well. */
  write(): void {
    this.waiting.shift()!.write();
  }

  fail(): void {
    this.waiting.shift()!.fail();
  }
}

const state = (serial: number, startedAt = 1): NodeState => {
  return { version: 1, bootId: 'b1', startedAt, serial, endpoints: [], networks: [] };
};

interface Places {
  readonly disk: SlowFile;
  readonly run: SlowFile;
}

/** Of an agent that has saved its first state. */
async function begun(serial = 1): Promise<Places & { readonly file: KeptState }> {
  const places = { disk: new SlowFile(), run: new SlowFile() };
  const file = new KeptState(places);
  const { kept } = file.save(state(serial));
  places.disk.write();
  await kept;
  return { ...places, file };
}

/** What the next agent finds if this one is killed now. */
const found = ({ disk, run }: Places) => new KeptState({ disk, run }).load();

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  return settled;
}

it('a change is kept when it is below /run; the disk follows', async () => {
  const { disk, run, file } = await begun();
  const { kept, onDisk } = file.save(state(2));
  expect(await isSettled(kept)).toBe(false);
  run.write();
  expect(await isSettled(kept)).toBe(true);
  expect(await isSettled(onDisk)).toBe(false);
  expect(await found({ disk, run })).toEqual(state(2));
  disk.write();
  expect(await isSettled(onDisk)).toBe(true);
  expect(disk.content).toEqual(state(2));
});

it('the first state of a run waits for the disk, and leaves what the run before kept as it is', async () => {
  const places = await begun();
  void places.file.save(state(2)).onDisk.catch(() => undefined);
  places.run.write();
  places.disk.fail();
  const next = new KeptState(places);
  expect(await next.load()).toEqual(state(2));
  for (const serial of [1, 2]) {
    const { kept } = next.save(state(serial, 2));
    expect(places.run.waiting).toEqual([]);
    expect(await isSettled(kept)).toBe(false);
    places.disk.fail();
    await expect(kept).rejects.toThrow('no space left');
    expect(await found(places)).toEqual(state(2));
  }
  const { kept } = next.save(state(3, 2));
  places.disk.write();
  await kept;
  expect(await found(places)).toEqual(state(3, 2));
  void next.save(state(4, 2)).onDisk;
  expect(places.run.waiting).toHaveLength(1);
});

it.each<[string, (places: Places) => void]>([
  ['is missing', ({ run }) => Object.assign(run, { content: undefined })],
  ['cannot be read', ({ run }) => Object.assign(run, { unreadable: true })],
  ['is older', ({ run }) => Object.assign(run, { content: state(4) })],
  ['has no serial', ({ run }) => Object.assign(run, { content: { ...state(9), serial: undefined } })],
  ['is of another run', ({ run }) => Object.assign(run, { content: state(9, 2) })],
  ['is of another boot', ({ run }) => Object.assign(run, { content: { ...state(9), bootId: 'b0' } })],
])('what the disk has counts when what is below /run %s', async (_, damage) => {
  const places = await begun(5);
  places.run.content = state(6);
  expect(await found(places)).toEqual(state(6));
  damage(places);
  expect(await found(places)).toEqual(state(5));
});

it('without a readable file on the disk what is below /run counts for nothing', async () => {
  const places = await begun();
  places.run.content = state(2);
  places.disk.unreadable = true;
  await expect(found(places)).rejects.toThrow('not usable');
  places.disk.unreadable = false;
  places.disk.content = undefined;
  expect(await found(places)).toBeUndefined();
});

it('a change waits for the disk when it cannot be kept below /run, and that is said until it can', async () => {
  const { disk, run, file } = await begun();
  const { kept } = file.save(state(2));
  run.fail();
  expect(await isSettled(kept)).toBe(false);
  expect(file.hindrance).toContain('no space left');
  disk.write();
  await kept;
  expect(await found({ disk, run })).toEqual(state(2));
  const both = file.save(state(3));
  run.fail();
  disk.fail();
  await expect(both.kept).rejects.toThrow('no space left');
  const last = file.save(state(4));
  run.write();
  disk.write();
  await last.kept;
  expect(file.hindrance).toBeUndefined();
});

it('a disk that is full keeps nobody waiting', async () => {
  const { disk, run, file } = await begun();
  const { kept, onDisk } = file.save(state(2));
  disk.fail();
  run.write();
  await kept;
  await expect(onDisk).rejects.toThrow('no space left');
  expect(await found({ disk, run })).toEqual(state(2));
});

it('killed between any two writes, what was kept last is found, or what came after it', async () => {
  // Of ten states, each place has had so many written; a place writes one after the other.
  for (let order = 0; order < 2 ** 10; order++) {
    const { disk, run, file } = await begun();
    const kept: Promise<number>[] = [];
    let last = 1;
    for (let step = 0; step < 10; step++) {
      const serial = step + 2;
      kept.push(file.save(state(serial)).kept.then(() => (last = Math.max(last, serial))));
      const place = (order >> step) & 1 ? disk : run;
      if (step % 3 === 2 && place === run) run.fail();
      else place.write();
      if (order % 64 === 0) {
        for (let turn = 0; turn < 6; turn++) await Promise.resolve();
        expect((await found({ disk, run }))!.serial).toBeGreaterThanOrEqual(last);
      }
    }
    for (let turn = 0; turn < 6; turn++) await Promise.resolve();
    expect((await found({ disk, run }))!.serial).toBeGreaterThanOrEqual(last);
  }
});

it('what is removed is gone, also when it is cut short half-way', async () => {
  const { disk, run, file } = await begun();
  void file.save(state(2)).onDisk;
  run.write();
  disk.write();
  const removed = file.remove();
  disk.write();
  expect(await found({ disk, run })).toBeUndefined();
  expect(await isSettled(removed)).toBe(false);
  run.write();
  await removed;
  expect(run.content).toBeUndefined();
  expect(await isSettled(file.save(state(3)).kept)).toBe(false);
});
