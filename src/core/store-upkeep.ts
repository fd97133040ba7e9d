/**
 * What is done about the file of a member of the bundled etcd: history goes after an hour by itself, but a file never shrinks
 * unless its member is told to, and one that has reached its quota refuses writes until somebody says that there is room
 * again. Every keeper looks at all members and sees to its own alone: the one that comes first does something, the others
 * wait. A member answers nothing while it works on its file, so that none begins meanwhile. Pure.
 */

/** Bytes: etcd's file, at most (`--quota-backend-bytes`). */
export const STORE_QUOTA_BYTES = 1024 ** 3;

export interface MemberFile {
  /** Of etcd's. */
  readonly id: string;
  readonly own: boolean;
  readonly votes: boolean;
  readonly leads: boolean;
  /** Undefined: it does not answer. */
  readonly file: { readonly bytes: number; readonly bytesInUse: number } | undefined;
  /** It has raised `NOSPACE`. */
  readonly isFull: boolean;
}

export type Upkeep =
  | { readonly kind: 'none' }
  /** History goes at once. */
  | { readonly kind: 'compact' }
  /** Another member is to lead before this one falls silent. */
  | { readonly kind: 'hand-over'; readonly to: string }
  | { readonly kind: 'defragment' }
  | { readonly kind: 'disarm' };

const WORTH_BYTES = 64 * 1024 ** 2;
const ROOM = 0.1;

/** The next step for this host's member. `compacted`: since the alarm was seen. */
export function planUpkeep(
  members: readonly MemberFile[],
  options: { readonly compacted: boolean; readonly quotaBytes: number },
): Upkeep {
  const none: Upkeep = { kind: 'none' };
  const own = members.find((each) => each.own);
  if (!own?.file) return none;
  const isFull = members.some((each) => each.isFull);
  const allAnswer = members.every(({ file }) => file !== undefined);
  if (isFull && !options.compacted) return own.leads ? { kind: 'compact' } : none;
  // Where one is away the next would take the majority with it.
  if (!allAnswer && !isFull) return none;
  const [first] = members.filter((each) => isLoose(each, isFull)).sort(byTurn);
  if (first) {
    if (first !== own) return none;
    const heir = own.leads && members.find(({ file, leads, votes }) => file && votes && !leads);
    return heir ? { kind: 'hand-over', to: heir.id } : { kind: 'defragment' };
  }
  const hasRoom = ({ file }: MemberFile) => file && file.bytes <= (1 - ROOM) * options.quotaBytes;
  return isFull && own.leads && members.every(hasRoom) ? { kind: 'disarm' } : none;
}

function isLoose({ file }: MemberFile, isFull: boolean): boolean {
  if (!file) return false;
  const free = file.bytes - file.bytesInUse;
  return isFull ? free > ROOM * file.bytes : free > WORTH_BYTES && free > file.bytes / 2;
}

/** Who leads comes last. */
function byTurn(a: MemberFile, b: MemberFile): number {
  return Number(a.leads) - Number(b.leads) || (a.id < b.id ? -1 : 1);
}
