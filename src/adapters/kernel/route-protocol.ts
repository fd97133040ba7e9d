/** Who made a route, as `ip route` writes it: by name the few that are spoken of, others by number. */
import { RTPROT_BOOT, RTPROT_KERNEL, RTPROT_STATIC } from '../netlink/uapi/rtnetlink.ts';

const NAMES: readonly (readonly [number, string])[] = [
  [RTPROT_KERNEL, 'kernel'],
  [RTPROT_BOOT, 'boot'],
  [RTPROT_STATIC, 'static'],
];

export function nameOfProtocol(number: number): string {
  return NAMES.find(([each]) => each === number)?.[1] ?? String(number);
}

export function numberOfProtocol(name: string): number {
  return NAMES.find(([, each]) => each === name)?.[0] ?? Number(name);
}
