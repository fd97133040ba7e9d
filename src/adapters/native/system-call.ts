/**
 * The door to functions of C libraries: `koffi` is imported here alone. Declares functions, calls them and turns what they
 * refuse into errors as Node.js has them, so that callers treat `ENOENT` alike whoever reports it.
 *
 * Every call blocks the thread that makes it: what may take longer than a millisecond belongs into a worker.
 */
import { getSystemErrorMap } from 'node:util';
import koffi from 'koffi';

/** `code` is the error's name (`EPERM`), `errno` its negative number, `syscall` the function, as of Node.js itself. */
export interface SystemCallError extends Error {
  readonly code: string;
  readonly errno: number;
  readonly syscall: string;
}

type Argument = number | bigint | string | ArrayBufferView | object | null;
interface NativeFunction {
  (...args: Argument[]): number;
  /** The same in another thread. */
  async(...args: [...Argument[], (error: Error | null, result: number) => void]): void;
}

const EINTR = 4;
/** The program itself: the C library that Node.js runs on, whichever that is (glibc, musl). */
const program = koffi.load(null);

/** Declares a function of libc by its C prototype; pointers take typed arrays or null. 64-bit results are numbers. */
export function libc(prototype: string): NativeFunction {
  return program.func(prototype) as unknown as NativeFunction;
}

/** Undefined when the library is not on this host. */
export function loadLibrary(soname: string): ((prototype: string) => NativeFunction) | undefined {
  try {
    const library = koffi.load(soname);
    return (prototype) => library.func(prototype) as unknown as NativeFunction;
  } catch {
    return undefined;
  }
}

/** A C string at an address that a function gave; empty for a null pointer. */
export function readString(address: unknown): string {
  return address === null ? '' : String(koffi.decode(address, 'char', -1));
}

/** Memory that stays where it is, all 0, for structures that point at each other. It is never given back. */
export interface NativeMemory {
  /** For a call's argument. */
  readonly pointer: object;
  readonly address: bigint;
  readonly bytes: Uint8Array;
}

export function allocate(bytes: number): NativeMemory {
  const pointer = koffi.alloc('uint8_t', bytes);
  const memory = new Uint8Array(koffi.view(pointer, bytes)).fill(0);
  return { pointer, address: koffi.address(pointer), bytes: memory };
}

/**
 * Has the event loop tell whenever something can be read from the descriptor, or it has failed, and again as long as that
 * is so. To be stopped before the descriptor is closed. What `tell` throws is an uncaught exception.
 */
export function whenReadable(fd: number, tell: () => void): { stop(): void } {
  let stopped = false;
  const stop = () => {
    // koffi does not look whether it is closed, and is at address 0 then.
    if (stopped) return;
    stopped = true;
    handle.stop();
    handle.close();
  };
  const handle = koffi.node.poll(fd, { readable: true }, () => {
    try {
      tell();
    } catch (error) {
      // koffi drops what is thrown here, and calls no more.
      stop();
      setImmediate(() => {
        throw error;
      });
    }
  });
  return { stop };
}

/**
 * Calls a function that says by -1 that it failed; again when a signal came in between. Returns what it returned. Throws
 * {@link SystemCallError}. `subject`: what it was about, for the message.
 */
export function call(name: string, native: NativeFunction, args: readonly Argument[], subject = ''): number {
  for (;;) {
    const result = native(...args);
    if (result !== -1) return result;
    const errno = koffi.errno();
    if (errno !== EINTR) throw systemCallError(name, errno, subject);
  }
}

/**
 * As {@link call}, for what must not be repeated: it is done also when a signal came in between, as close(2) is, or would wait
 * as long as before, as poll(2) would. Undefined: a signal came.
 */
export function callOnce(name: string, native: NativeFunction, args: readonly Argument[]): number | undefined {
  const result = native(...args);
  if (result !== -1) return result;
  const errno = koffi.errno();
  if (errno !== EINTR) throw systemCallError(name, errno);
  return undefined;
}

/** As {@link call}, for calls that would have to wait: undefined when there is nothing (`EAGAIN`). */
export function callNow(name: string, native: NativeFunction, args: readonly Argument[]): number | undefined {
  try {
    return call(name, native, args);
  } catch (error) {
    if ((error as SystemCallError).code === 'EAGAIN') return undefined;
    throw error;
  }
}

/**
 * As {@link call}, without blocking this thread: one of libuv's waits, of which there are four. Why it failed is not known.
 * Memory that is passed must not be used meanwhile.
 */
export function callLater(name: string, native: NativeFunction, args: readonly Argument[]): Promise<number> {
  return new Promise((resolve, reject) => {
    native.async(...args, (error: Error | null, result: number) => {
      if (error) reject(error);
      else if (result === -1) reject(new Error(`${name} failed`));
      else resolve(result);
    });
  });
}

/** `errno`: positive, as the kernel's headers have it. */
function systemCallError(syscall: string, errno: number, subject = ''): SystemCallError {
  const { code, message } = describeErrno(errno);
  const where = subject === '' ? '' : ` ${subject}`;
  return Object.assign(new Error(`${syscall}${where}: ${message} (${code})`), { code, errno: -errno, syscall });
}

/** The name and the words of an error number (positive), as of errno(3). */
export function describeErrno(errno: number): { readonly code: string; readonly message: string } {
  const [code, message] = getSystemErrorMap().get(-errno) ?? OTHERS[errno] ?? [`errno ${errno}`, 'unknown error'];
  return { code, message };
}

/** What the kernel's networking answers and libuv, whose table Node.js has, does not know. */
const OTHERS: Readonly<Record<number, readonly [code: string, message: string]>> = {
  54: ['EXFULL', 'exchange full'],
  61: ['ENODATA', 'no data available'],
  62: ['ETIME', 'timer expired'],
  93: ['EPROTONOSUPPORT', 'protocol not supported'],
  94: ['ESOCKTNOSUPPORT', 'socket type not supported'],
  95: ['EOPNOTSUPP', 'operation not supported'],
  96: ['EPFNOSUPPORT', 'protocol family not supported'],
  102: ['ENETRESET', 'network dropped connection on reset'],
  103: ['ECONNABORTED', 'connection aborted'],
  106: ['EISCONN', 'already connected'],
  108: ['ESHUTDOWN', 'transport endpoint shutdown'],
  116: ['ESTALE', 'stale file handle'],
  117: ['EUCLEAN', 'structure needs cleaning'],
  122: ['EDQUOT', 'quota exceeded'],
  123: ['ENOMEDIUM', 'no medium found'],
};
