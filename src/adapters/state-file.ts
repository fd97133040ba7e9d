/**
 * Small files of JSON: each save writes a temporary file beside the old one and renames it over the old one. Readers see
 * the old or the new state, never a part of one. To survive a power cut the file is synced before it is renamed, and
 * its directory after; what has to survive the agent's end alone needs neither (`kept-state.ts`).
 */
import { closeSync, openSync, renameSync, writevSync } from 'node:fs';
import { copyFile, mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { LocalEndpoint } from '../core/container.ts';
import { OverlaydError } from '../core/errors.ts';
import { decodeNetwork } from '../core/record-codec.ts';
import type { NetworkRecord } from '../core/records.ts';
import { type StoreMemory, UnusableState } from '../core/store-memory.ts';
import type { JsonFile, NodeState } from '../ports/files.ts';
import { listOf, objectOf, parseEndpoints, parsePublication } from './state-endpoints.ts';

/**
 * @param parse - the value, or throws with what is wrong. Gets whatever JSON the file holds.
 * @param without - what it means to begin without the file, for those who cannot restore it.
 *
 * `load` throws `state-unreadable` when the file is there and is not what it should be. It is left where it is; a save
 * after that keeps it aside as `<path>.unreadable-<time>`. Saves that come while one is being written join into the
 * next one; each resolves when its value, or a later one, is on disk.
 */
export function createJsonFile<T>(
  path: string,
  parse: (value: unknown) => T,
  without: string,
  render: (value: T) => string = JSON.stringify,
): JsonFile<T> {
  return new JsonFileOnDisk(path, { parse, render: (value) => [Buffer.from(render(value))], without });
}

/**
 * The node's state (`NodeState`) in two places, mode 0600 like every such file. `disk`: path of what survives a power cut.
 * `run`: of what survives the agent's end alone and is written without a sync, below `/run`.
 */
export function createStateFiles(paths: { readonly disk: string; readonly run: string }): {
  readonly disk: JsonFile<NodeState>;
  readonly run: JsonFile<NodeState>;
} {
  const without = 'the containers of this host lose their networks then';
  const format = { parse: parseNodeState, render: renderingNodeState(), without };
  return {
    disk: new JsonFileOnDisk(paths.disk, format),
    run: new JsonFileOnDisk(paths.run, { ...format, isFleeting: true }),
  };
}

type Pieces = readonly Uint8Array[];

interface Format<T> {
  readonly parse: (value: unknown) => T;
  /** The text in UTF-8, piece by piece. */
  readonly render: (value: T) => Pieces;
  readonly without: string;
  /** It is not synced, and what is not usable is not kept. */
  readonly isFleeting?: boolean;
}

class JsonFileOnDisk<T> implements JsonFile<T> {
  readonly #path: string;
  readonly #format: Format<T>;
  #last: Promise<void> = Promise.resolve();
  #next: { value: T; written: Promise<void> } | undefined;
  #unreadable = false;

  constructor(path: string, format: Format<T>) {
    this.#path = path;
    this.#format = format;
  }

  load(): Promise<T | undefined> {
    return this.#enqueue(() => this.#read());
  }

  async #read(): Promise<T | undefined> {
    this.#unreadable = false;
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw this.#failure(`cannot be read: ${messageOf(error)}; check its owner and mode`, error);
    }
    try {
      return this.#format.parse(parseJson(text));
    } catch (error) {
      this.#unreadable = !this.#format.isFleeting;
      const mend = `restore it, or move it away to begin without it: ${this.#format.without}`;
      throw this.#failure(`is not usable: ${messageOf(error)}; ${mend}`, error);
    }
  }

  save(value: T): Promise<void> {
    if (this.#next !== undefined) {
      this.#next.value = value;
      return this.#next.written;
    }
    const next = { value, written: Promise.resolve() };
    next.written = this.#enqueue(async () => {
      // One write for all that changes in this turn, and after what others are to be told in it.
      await nextTurn();
      if (this.#next === next) this.#next = undefined;
      return this.#write(next.value);
    });
    this.#next = next;
    return next.written;
  }

  remove(): Promise<void> {
    this.#next = undefined; // a save after this one must not join one before it
    return this.#enqueue(async () => {
      await rm(this.#path, { force: true });
      if (!this.#format.isFleeting) await syncDirectory(dirname(this.#path));
    });
  }

  /** One after another, whatever became of the one before. */
  #enqueue<R>(job: () => Promise<R>): Promise<R> {
    const run = this.#last.then(job);
    this.#last = run.then(
      () => undefined,
      () => undefined,
    );
    return run;
  }

  async #write(value: T): Promise<void> {
    try {
      // It stays in its place until the new one is whole: a start without any file would find that this host has nothing.
      if (this.#unreadable) await this.#keepAside();
      this.#unreadable = false;
      const replace = this.#format.isFleeting ? swapFile : replaceFile;
      await replace(this.#path, [...this.#format.render(value), LINE_END]);
    } catch (error) {
      const message = `${this.#path} cannot be written: ${messageOf(error)}; is the disk full or read-only?`;
      throw new OverlaydError('internal', message, { cause: error, retryable: true });
    }
  }

  async #keepAside(): Promise<void> {
    try {
      await copyFile(this.#path, `${this.#path}.unreadable-${Date.now()}`);
    } catch (error) {
      // Somebody has moved it away meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  #failure(what: string, cause: unknown): OverlaydError {
    return new OverlaydError('state-unreadable', `${this.#path} ${what}`, { cause });
  }
}

const LINE_END = Buffer.from('\n');

/** Puts `content` at `path` (mode 0600) so that after a crash the old or the new file is there, whole. */
export async function replaceFile(path: string, content: string | Uint8Array | Pieces): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await makingDirectory(path, () => open(temporary, 'w', 0o600));
  try {
    if (typeof content === 'string' || content instanceof Uint8Array) await file.writeFile(content);
    else for (let left = content; left.length > 0; ) left = leftOf(left, (await file.writev(left)).bytesWritten);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  await syncDirectory(dirname(path));
}

/**
 * The same for the end of a process: what was written is there for the next one as long as the host runs. Nothing waits for a
 * disk, and each turn of another thread would take longer than the write.
 */
async function swapFile(path: string, pieces: Pieces): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = await makingDirectory(path, async () => openSync(temporary, 'w', 0o600));
  try {
    for (let left = pieces; left.length > 0; ) left = leftOf(left, writevSync(file, left));
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}

/** What is still to be written: hardly ever anything. */
function leftOf(pieces: Pieces, writtenBytes: number): Pieces {
  const all = pieces.reduce((sum, { length }) => sum + length, 0);
  return writtenBytes === all ? [] : [Buffer.concat(pieces).subarray(writtenBytes)];
}

/** `open`: of a file beside the one at the path. */
async function makingDirectory<T>(path: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    return await open();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/**
 * Endpoints and networks are never changed, only replaced: of a thousand of them the new one alone is made into text. The pieces
 * are written as they are: as one text, which is garbage at once, they would have all garbage collected with each change.
 *
 * What an agent of level 1 cannot read stands apart, below `later`, by its place in its list. So that agent reads the file, and
 * with it the level for which it does not go on, and leaves it as it is; its fellow of level 2 finds all of it again.
 */
function renderingNodeState(): (state: NodeState) => Pieces {
  const texts = new WeakMap<object, { readonly text: Buffer; readonly isLater: boolean }>();
  const textOfEach = (value: Kept) => {
    const made = texts.get(value) ?? { text: Buffer.from(`,${JSON.stringify(value)}`), isLater: needsLevel2(value) };
    texts.set(value, made);
    return made;
  };
  return ({ endpoints, former, networks, ...rest }) => {
    const lists: Readonly<Record<string, readonly Kept[]>> = { endpoints, networks, ...(former && { former }) };
    const first: Uint8Array[] = [];
    const later: string[] = [];
    for (const [name, values] of Object.entries(lists)) {
      const made = values.map(textOfEach);
      const now = made.flatMap(({ text, isLater }) => (isLater ? [] : [text]));
      const apart = made.flatMap(({ text, isLater }, at) => (isLater ? [`"${at}":${withoutComma(text)}`] : []));
      first.push(Buffer.from(`,"${name}":[`), ...now.slice(0, 1).map(withoutComma), ...now.slice(1), Buffer.from(']'));
      if (apart.length > 0) later.push(`"${name}":{${apart.join(',')}}`);
    }
    const apart = later.length > 0 ? `,"later":{${later.join(',')}}` : '';
    return [Buffer.from(JSON.stringify(rest).slice(0, -1)), ...first, Buffer.from(`${apart}}`)];
  };
}

/** Of one in a list, which begins with a comma. */
function withoutComma(text: Buffer): Buffer {
  return text.subarray(1);
}

type Kept = LocalEndpoint | NetworkRecord;

function needsLevel2(value: Kept): boolean {
  if ('subnets' in value) return value.subnets.some(({ cidr }) => cidr.includes(':'));
  return value.record.addresses.some(({ ip }) => ip.includes(':'));
}

/** The list of that name, with what stands apart in its place. */
function wholeList(state: Record<string, unknown>, name: string): unknown[] {
  const list = [...listOf(state[name], name)];
  const later = state.later === undefined ? {} : objectOf(state.later, 'later');
  const apart = later[name] === undefined ? {} : objectOf(later[name], `later.${name}`);
  const places = Object.keys(apart).map(Number);
  for (const at of places.sort((a, b) => a - b)) list.splice(at, 0, apart[at]);
  return list;
}

function parseStoreMemory(value: unknown): StoreMemory {
  const { height, behind, level, epoch } = objectOf(value, 'store');
  if (!Number.isSafeInteger(height)) throw new Error('store.height is not a revision');
  return {
    ...{ height: height as number, behind: behind === true },
    ...(typeof level === 'number' && { level }),
    ...(typeof epoch === 'string' && { epoch }),
  };
}

/** Throws {@link UnusableState}. */
function parseNodeState(value: unknown): NodeState {
  try {
    return parseState(objectOf(value, 'the file'));
  } catch (error) {
    throw new UnusableState(messageOf(error), memoryOf(value));
  }
}

function memoryOf(value: unknown): StoreMemory | undefined {
  try {
    return parseStoreMemory(objectOf(value, 'the file').store);
  } catch {
    return undefined;
  }
}

/** Version 1 is of releases whose endpoints had one address and no subnet. */
function parseState(state: Record<string, unknown>): NodeState {
  if (state.version !== 1 && state.version !== 2)
    throw new Error(`its version is ${String(state.version)}, this overlayd knows versions 1 and 2`);
  if (typeof state.bootId !== 'string') throw new Error('bootId is not text');
  const networks = wholeList(state, 'networks').map((item, i) => {
    const decoded = decodeNetwork(JSON.stringify(item) ?? '');
    if (decoded === undefined) throw new Error(`networks[${i}] is not a network`);
    return decoded;
  });
  const subnets = new Map(networks.map(({ id, subnets }) => [id, subnets[0]?.cidr]));
  const recordOf =
    state.version === 1 ? (record: unknown) => withAddresses(record, subnets) : (record: unknown) => record;
  return {
    version: 2,
    bootId: state.bootId,
    startedAt: typeof state.startedAt === 'number' ? state.startedAt : 0,
    ...(typeof state.serial === 'number' ? { serial: state.serial } : {}),
    ...(typeof state.seenAt === 'number' ? { seenAt: state.seenAt } : {}),
    ...(state.store === undefined ? {} : { store: parseStoreMemory(state.store) }),
    endpoints: parseEndpoints(wholeList(state, 'endpoints'), 'endpoints', recordOf),
    ...(state.former === undefined ? {} : { former: parseEndpoints(wholeList(state, 'former'), 'former', recordOf) }),
    networks,
    ...(state.publications === undefined
      ? {}
      : { publications: listOf(state.publications, 'publications').map(parsePublication) }),
  };
}

/** An endpoint of version 1. `subnets`: by network id. */
function withAddresses(record: unknown, subnets: ReadonlyMap<string, string | undefined>): unknown {
  const { address, ...rest } = objectOf(record, 'an endpoint');
  const subnet = subnets.get(String(rest.networkId)) ?? `${String(address)}/32`;
  return { ...rest, addresses: [{ subnet, ip: address }] };
}

/** Throws without a word of what is in the text, as the engine's own message has: it may be of a key. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('it is no JSON');
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
