/**
 * libnftables(3), what the command `nft` is made of: text in, text or JSON out, one transaction for all of one text. A
 * context's netlink socket is opened when the context is made, in the namespace in which the thread is then.
 */
import { NETLINK_NETFILTER } from '../netlink/uapi/netlink.ts';
import { insideNamespace } from './namespace.ts';
import { AF, closeDescriptor, openSocket, SOCK } from './socket.ts';
import { loadLibrary, readString } from './system-call.ts';
import { undisturbed } from './undisturbed.ts';

const SONAME = 'libnftables.so.1';
const NFT_CTX_DEFAULT = 0;
/** A context is freed so much later, or when there are so many. */
const KEPT_MS = 100;
const MOST_KEPT = 16;
/** `NFT_CTX_OUTPUT_*` of nftables/libnftables.h. */
export const OUTPUT = { STATELESS: 1 << 2, JSON: 1 << 4 } as const;

type Context = object;

export interface NftablesOutcome {
  /** False: nothing of the text was done. */
  readonly ok: boolean;
  readonly output: string;
  /** In the library's words, with the place in the text. */
  readonly errors: string;
}

function open() {
  const declare = loadLibrary(SONAME);
  if (!declare) return undefined;
  return {
    create: declare('void *nft_ctx_new(uint32_t flags)') as unknown as (flags: number) => Context | null,
    free: declare('void nft_ctx_free(void *context)'),
    setOutput: declare('void nft_ctx_output_set_flags(void *context, uint32_t flags)'),
    bufferOutput: declare('int nft_ctx_buffer_output(void *context)'),
    bufferErrors: declare('int nft_ctx_buffer_error(void *context)'),
    output: declare('void *nft_ctx_get_output_buffer(void *context)') as unknown as (context: Context) => unknown,
    errors: declare('void *nft_ctx_get_error_buffer(void *context)') as unknown as (context: Context) => unknown,
    run: declare('int nft_run_cmd_from_buffer(void *context, const char *text)'),
  };
}

let library: ReturnType<typeof open>;

/** One that is not there may be installed later. */
function opened() {
  library ??= open();
  return library;
}

/** Whether the library is on this host (Debian: libnftables1). */
export function hasLibnftables(): boolean {
  return opened() !== undefined;
}

/** Longer than any transaction takes. */
const TURN_MS = 20_000;
let turns: { readonly word: Int32Array; readonly thread: number } | undefined;

/**
 * The library keeps state outside its contexts: threads of one process take turns. `shared`: four bytes, of all of them;
 * in them the number of the thread whose turn it is, 0 when it is nobody's.
 */
export function takeTurns(shared: SharedArrayBuffer, thread: number): void {
  turns = { word: new Int32Array(shared), thread };
}

/** The turn of a thread that has ended, however it did, is over. */
export function endTurn(shared: SharedArrayBuffer, thread: number): void {
  const word = new Int32Array(shared);
  if (Atomics.compareExchange(word, 0, thread, 0) === thread) Atomics.notify(word, 0);
}

function inTurn<T>(task: () => T): T {
  if (!turns) return task();
  const { word, thread } = turns;
  const deadline = performance.now() + TURN_MS;
  for (;;) {
    const holder = Atomics.compareExchange(word, 0, 0, thread);
    if (holder === 0) break;
    const leftMs = deadline - performance.now();
    if (leftMs <= 0) throw new Error('libnftables is held by another thread, which hangs');
    Atomics.wait(word, 0, holder, leftMs);
  }
  try {
    return task();
  } finally {
    Atomics.store(word, 0, 0);
    Atomics.notify(word, 0);
  }
}

/** Contexts that have done their work. */
let done: Context[] = [];
let freeing: NodeJS.Timeout | undefined;

/**
 * Frees what {@link runNftables} has kept. To be called before a namespace is removed: a context has a socket in it, which
 * keeps it alive.
 */
export function freeNftables(): void {
  clearTimeout(freeing);
  freeing = undefined;
  const contexts = done;
  done = [];
  if (contexts.length > 0) inTurn(() => contexts.map((context) => opened()?.free(context)));
}

/**
 * Runs commands inside the namespace at the path; undefined: in the thread's own. Blocks for about a millisecond, longer for
 * large sets. Throws where the namespace cannot be entered, the library is missing, or the kernel has no nftables
 * (`EPROTONOSUPPORT`).
 *
 * The context is kept for a moment: the end of its socket waits until the kernel has freed what a transaction took away,
 * some 10 ms if that was just now.
 */
export function runNftables(path: string | undefined, text: string, outputFlags = 0): NftablesOutcome {
  const nft = opened();
  if (!nft) throw new Error(`${SONAME} is not on this host: install libnftables1 (Debian's name)`);
  return inTurn(() => runInside(nft, path, text, outputFlags));
}

function runInside(
  nft: NonNullable<ReturnType<typeof open>>,
  path: string | undefined,
  text: string,
  outputFlags: number,
): NftablesOutcome {
  return insideNamespace(path, () => {
    // The library ends the whole process where it cannot open a socket.
    closeDescriptor(openSocket(AF.NETLINK, SOCK.RAW, NETLINK_NETFILTER));
    const context = nft.create(NFT_CTX_DEFAULT);
    if (context === null) throw new Error('libnftables made no context');
    done.push(context);
    if (done.length > MOST_KEPT) nft.free(done.shift()!);
    freeing ??= setTimeout(freeNftables, KEPT_MS).unref();
    nft.bufferOutput(context);
    nft.bufferErrors(context);
    nft.setOutput(context, outputFlags);
    // It says `Interrupted system call` where a signal came while it looked for more answers, of what the kernel has done.
    const ok = undisturbed(() => nft.run(context, text)) === 0;
    return { ok, output: readString(nft.output(context)), errors: readString(nft.errors(context)) };
  });
}
