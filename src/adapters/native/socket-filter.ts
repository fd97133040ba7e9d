/**
 * Programs of classic BPF that decide which messages a socket is handed (socket(7), `SO_ATTACH_FILTER`; the kernel's
 * Documentation/networking/filter.rst). What one throws away costs whoever sent it next to nothing, and the reader nothing at all.
 */
import { SO, SOL, setSocketOption, setSocketOptionBytes } from './socket.ts';
import { allocate, type NativeMemory } from './system-call.ts';

/** `struct sock_filter`. Jumps are counted from the next instruction. */
export interface Instruction {
  readonly code: number;
  readonly k: number;
  /** Where a comparison holds, and where it does not; 0: the next one. */
  readonly jt?: number;
  readonly jf?: number;
}

const BPF = { LD: 0x00, W: 0x00, H: 0x08, ABS: 0x20, JMP: 0x05, JEQ: 0x10, K: 0x00, RET: 0x06 } as const;
const INSTRUCTION_BYTES = 8;
/** `struct sock_fprog`: how many instructions, and where they are. */
const PROGRAM_BYTES = 16;
/** `BPF_MAXINSNS` is 4,096; jumps reach over 255. */
export const MOST_INSTRUCTIONS = 256;

/** Two bytes, four bytes, as a number whose first byte is the highest. */
export const load16 = (at: number): Instruction => ({ code: BPF.LD | BPF.H | BPF.ABS, k: at });
export const load32 = (at: number): Instruction => ({ code: BPF.LD | BPF.W | BPF.ABS, k: at });
/** Compares what was loaded last. */
export const jumpIfEqual = (k: number, jt: number, jf: number): Instruction => ({
  code: BPF.JMP | BPF.JEQ | BPF.K,
  k,
  jt,
  jf,
});
/** The message is taken. */
export const TAKE: Instruction = { code: BPF.RET | BPF.K, k: 0xffff_ffff };
export const THROW_AWAY: Instruction = { code: BPF.RET | BPF.K, k: 0 };

/** The kernel copies a program, so one place does for all. */
let memory: NativeMemory | undefined;

/** Takes the place of the filter before. What waits already in the socket is still handed over. Throws as system calls do. */
export function filterSocket(fd: number, program: readonly Instruction[]): void {
  if (program.length > MOST_INSTRUCTIONS) throw new RangeError(`${program.length} instructions are too many`);
  memory ??= allocate(PROGRAM_BYTES + MOST_INSTRUCTIONS * INSTRUCTION_BYTES);
  const { address, bytes } = memory;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint16(0, program.length, true);
  view.setBigUint64(8, address + BigInt(PROGRAM_BYTES), true);
  for (const [nth, { code, jt = 0, jf = 0, k }] of program.entries()) {
    const at = PROGRAM_BYTES + nth * INSTRUCTION_BYTES;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jt);
    view.setUint8(at + 3, jf);
    view.setUint32(at + 4, k, true);
  }
  setSocketOptionBytes(fd, SOL.SOCKET, SO.ATTACH_FILTER, bytes.subarray(0, PROGRAM_BYTES));
}

/** Of a socket that has a filter. */
export function unfilterSocket(fd: number): void {
  setSocketOption(fd, SOL.SOCKET, SO.DETACH_FILTER, 0);
}
