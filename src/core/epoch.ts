/**
 * Which life of the store something is of: a number that grows, and 16 random hex digits, as `7-3f0c9a55d2e81b46`. It is
 * drawn when a cluster is made, and whenever its store is put back, moved, or found to have gone back
 * (docs/adr/0023-a-store-that-went-back-says-so.md). Revisions of different lives say nothing about each other. Pure.
 */

const FORM = /^([1-9][0-9]{0,14})-([0-9a-f]{16})$/;
/** Nobody restores so often while a member is away. */
const FURTHEST = 10_000;

export function isEpoch(text: string): boolean {
  return FORM.test(text);
}

/** 0 where there is none. */
export function epochNumber(epoch: string | undefined): number {
  return Number(FORM.exec(epoch ?? '')?.[1] ?? 0);
}

/** Later than all that are given. */
export function drawEpoch(random: { hex(bytes: number): string }, ...after: readonly (string | undefined)[]): string {
  return `${Math.max(0, ...after.map(epochNumber)) + 1}-${random.hex(8)}`;
}

/** Whether both are told, and of different lives. */
export function isOtherEpoch(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}

/** Of two different ones with the same number neither is: then it is etcd's word that counts. */
export function isLaterEpoch(a: string | undefined, than: string | undefined): boolean {
  return epochNumber(a) > epochNumber(than);
}

/** What a member says that it follows: none that is no epoch, or far beyond what this node knows. */
export function isCredibleEpoch(told: string, known: string | undefined): boolean {
  return isEpoch(told) && (known === undefined || epochNumber(told) <= epochNumber(known) + FURTHEST);
}
