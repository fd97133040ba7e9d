import { expect, it } from 'vitest';
import { KeptState } from '../../../../src/agent/endpoints/kept-state.ts';
import type { JsonFile, NodeState } from '../../../../src/ports/files.ts';

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
  async write(): Promise<void> {
    await turns();
    this.waiting.shift()!.write();
    await turns();
  }

  async fail(): Promise<void> {
    await turns();
    this.waiting.shift()!.fail();
    await turns();
  }
}

/** All that can run has run. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 12; turn++) await Promise.resolve();
}

/** Time passes at once. */
const clock = { sleep: async () => undefined };

const state = (serial: number, startedAt = 1): NodeState => {
  return { version: 2, bootId: 'b1', startedAt, serial, endpoints: [], networks: [] };
};

interface Places {
  readonly disk: SlowFile;
  readonly run: SlowFile;
}

/** Of an agent that has saved its first state. */
async function begun(serial = 1): Promise<Places & { readonly file: KeptState }> {
  const places = { disk: new SlowFile(), run: new SlowFile() };
  const file = new KeptState({ ...places, clock });
  const { kept } = file.keep(state(serial));
  await places.disk.write();
  await kept;
  return { ...places, file };
}

/** What the next agent finds if this one is killed now. */
const found = ({ disk, run }: Places) => new KeptState({ disk, run, clock }).load();

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  promise.then(settle, settle);
  await turns();
  return settled;
}

it('a change is kept when it is below /run; the disk follows', async () => {
  const { disk, run, file } = await begun();
  const { kept, onDisk } = file.keep(state(2));
  expect(await isSettled(kept)).toBe(false);
  await run.write();
  expect(await isSettled(kept)).toBe(true);
  expect(await isSettled(onDisk)).toBe(false);
  expect(await found({ disk, run })).toEqual(state(2));
  await disk.write();
  expect(await isSettled(onDisk)).toBe(true);
  expect(disk.content).toEqual(state(2));
});

it('the first state of a run waits for the disk, and leaves what the run before kept as it is', async () => {
  const places = await begun();
  void places.file.keep(state(2)).onDisk.catch(() => undefined);
  await places.run.write();
  await places.disk.fail();
  const next = new KeptState({ ...places, clock });
  expect(await next.load()).toEqual(state(2));
  for (const serial of [1, 2]) {
    const { kept } = next.keep(state(serial, 2));
    expect(places.run.waiting).toEqual([]);
    expect(await isSettled(kept)).toBe(false);
    await places.disk.fail();
    await expect(kept).rejects.toThrow('no space left');
    expect(await found(places)).toEqual(state(2));
  }
  const { kept } = next.keep(state(3, 2));
  await places.disk.write();
  await kept;
  expect(await found(places)).toEqual(state(3, 2));
  void next.keep(state(4, 2)).onDisk;
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
  const { kept } = file.keep(state(2));
  await run.fail();
  expect(await isSettled(kept)).toBe(false);
  expect(file.hindrance).toContain('no space left');
  await disk.write();
  await kept;
  expect(await found({ disk, run })).toEqual(state(2));
  const both = file.keep(state(3));
  await run.fail();
  await disk.fail();
  await expect(both.kept).rejects.toThrow('no space left');
  const last = file.keep(state(4));
  await run.write();
  await disk.write();
  await last.kept;
  expect(file.hindrance).toBeUndefined();
});

it('a disk that is full keeps nobody waiting', async () => {
  const { disk, run, file } = await begun();
  const { kept, onDisk } = file.keep(state(2));
  await disk.fail();
  await run.write();
  await kept;
  await expect(onDisk).rejects.toThrow('no space left');
  expect(await found({ disk, run })).toEqual(state(2));
});

it('killed between any two writes, what was kept last is found, or what came after it', async () => {
  for (let order = 0; order < 2 ** 8; order++) {
    const { disk, run, file } = await begun();
    let last = 1;
    for (let step = 0; step < 8; step++) {
      const serial = step + 2;
      const { kept, onDisk } = file.keep(state(serial));
      onDisk.catch(() => undefined);
      void kept.then(() => {
        last = serial;
      });
      await turns();
      // Each place writes one after the other: of two, one comes to its end.
      const place = (order >> step) & 1 ? disk : run;
      const waiting = place.waiting.shift();
      if (step % 3 === 2 && place === run) waiting?.fail();
      else waiting?.write();
      await turns();
      expect((await found({ disk, run }))!.serial).toBeGreaterThanOrEqual(last);
    }
  }
});

it('all changes of a moment go to the disk at once, and at once when it is asked for', async () => {
  const places = { disk: new SlowFile(), run: new SlowFile() };
  const sleeping: AbortSignal[] = [];
  const sleep = (_: number, signal?: AbortSignal) =>
    new Promise<void>((_resolve, reject) => {
      sleeping.push(signal!);
      signal!.addEventListener('abort', () => reject(signal!.reason), { once: true });
    });
  const file = new KeptState({ ...places, clock: { sleep } });
  const first = file.save(state(1));
  await places.disk.write();
  await first;
  const followed = [2, 3, 4].map((serial) => file.keep(state(serial)).onDisk);
  await turns();
  expect(places.disk.waiting).toEqual([]);
  const saved = file.save(state(5));
  await places.disk.write();
  await Promise.all([...followed, saved]);
  expect(places.disk.content).toEqual(state(5));
  expect(sleeping).toHaveLength(2);
  // What is to be read, or removed, is there before.
  void file.keep(state(6)).onDisk;
  const loaded = file.load();
  await places.disk.write();
  expect(await loaded).toEqual(state(6));
});

it('what is removed is gone, also when it is cut short half-way', async () => {
  const { disk, run, file } = await begun();
  void file.keep(state(2)).onDisk;
  await run.write();
  await disk.write();
  const removed = file.remove();
  await disk.write();
  expect(await found({ disk, run })).toBeUndefined();
  expect(await isSettled(removed)).toBe(false);
  await run.write();
  await removed;
  expect(run.content).toBeUndefined();
  expect(await isSettled(file.keep(state(3)).kept)).toBe(false);
});

it('of an agent that is told to end the disk has everything, and an older file in its place counts', async () => {
  const { disk, run, file } = await begun();
  const { kept } = file.keep(state(2));
  const ended = file.end();
  await run.write();
  await kept;
  expect(await isSettled(ended)).toBe(false);
  await disk.write();
  await run.write();
  await ended;
  expect(await found({ disk, run })).toEqual(state(2));
  disk.content = state(1);
  expect(await found({ disk, run })).toEqual(state(1));
});

it('an agent that ends with a disk that is full leaves what it kept', async () => {
  const { disk, run, file } = await begun();
  const { kept, onDisk } = file.keep(state(2));
  onDisk.catch(() => undefined);
  await run.write();
  await kept;
  const ended = file.end();
  await disk.fail();
  await ended;
  expect(await found({ disk, run })).toEqual(state(2));
  const idle = new KeptState({ disk, run, clock });
  await idle.end();
  expect(await found({ disk, run })).toEqual(state(2));
});

it('what is still under way of the run before is not written over the next one', async () => {
  const { disk, run, file } = await begun();
  await file.load();
  const { kept } = file.keep(state(1, 2));
  await disk.write();
  await kept;
  for (const late of [file.keep(state(9)).kept, file.keep(state(9)).onDisk, file.save(state(9))]) {
    expect(await isSettled(late)).toBe(true);
    await expect(late).rejects.toMatchObject({ code: 'cancelled', retryable: true });
  }
  await turns();
  expect([disk.waiting, run.waiting]).toEqual([[], []]);
  const next = file.keep(state(2, 2));
  await run.write();
  await next.kept;
  expect(await found({ disk, run })).toEqual(state(2, 2));
});
