/** Of a thousand ports hardly ever one is another than the last time: what is made of all of them is made of that one. */
import type { DesiredPort } from '../host-state.ts';

/** More are as soon made from the beginning. */
const MOST_NEW = 16;

export interface PortChange {
  /** So many ports come first that both lists have. */
  readonly front: number;
  readonly gone: readonly DesiredPort[];
  readonly come: readonly DesiredPort[];
}

/**
 * What was put in the place of what, `come` in that of `gone`; both are empty where nothing was. Undefined: so much that
 * it is no use. A port is never changed, only replaced.
 */
export function portChange(before: readonly DesiredPort[], now: readonly DesiredPort[]): PortChange | undefined {
  const shorter = Math.min(before.length, now.length);
  let front = 0;
  while (front < shorter && before[front] === now[front]) front++;
  let [endOfBefore, endOfNow] = [before.length, now.length];
  while (endOfBefore > front && endOfNow > front && before[endOfBefore - 1] === now[endOfNow - 1]) {
    endOfBefore--;
    endOfNow--;
  }
  if (endOfNow - front > MOST_NEW) return undefined;
  return { front, gone: before.slice(front, endOfBefore), come: now.slice(front, endOfNow) };
}

export function isNoChange({ gone, come }: PortChange): boolean {
  return gone.length + come.length === 0;
}
