/** Names below `in-addr.arpa` (RFC 1035, 3.5) and `ip6.arpa` (RFC 3596, 2.5) as the address blocks they stand for. */
import type { Cidr } from '../cidr.ts';
import { BITS, type Family } from '../ip.ts';

interface Tree {
  readonly suffix: string;
  readonly family: Family;
  readonly bitsPerLabel: number;
  readonly label: RegExp;
  readonly radix: number;
}

const TREES: readonly Tree[] = [
  { suffix: '.in-addr.arpa', family: 4, bitsPerLabel: 8, label: /^(0|[1-9]\d{0,2})$/, radix: 10 },
  { suffix: '.ip6.arpa', family: 6, bitsPerLabel: 4, label: /^[0-9a-f]$/, radix: 16 },
];

export interface ReverseName {
  /** One label of the name stands for 8 bits of IPv4, or for 4 of IPv6. */
  readonly block: Cidr;
  /** True when there are labels that are no part of an address in front of it. */
  readonly below: boolean;
  /** What the name is below of. */
  readonly apex: string;
}

/** Undefined when the name (lower case) stands for no block. */
export function parseReverse(name: string): ReverseName | undefined {
  const tree = TREES.find(({ suffix }) => name.endsWith(suffix));
  if (tree === undefined) return undefined;
  const { bitsPerLabel, family, label, radix, suffix } = tree;
  const labels = name.slice(0, -suffix.length).split('.');
  const most = BITS[family] / bitsPerLabel;
  let value = 0n;
  let count = 0;
  for (; count < labels.length && count < most; count++) {
    const text = labels[labels.length - 1 - count] as string;
    const part = label.test(text) ? Number.parseInt(text, radix) : Number.NaN;
    if (!(part < 2 ** bitsPerLabel)) break;
    value = (value << BigInt(bitsPerLabel)) | BigInt(part);
  }
  if (count === 0) return undefined;
  const prefix = count * bitsPerLabel;
  const ip = { family, value: value << BigInt(BITS[family] - prefix) };
  return { block: { ip, prefix }, below: labels.length > count, apex: suffix.slice(1) };
}

/** The name of a block, without a dot at its end. Undefined where no name stands for just that block, as of a /20. */
export function reverseNameOf({ ip, prefix }: Cidr): string | undefined {
  const { bitsPerLabel, suffix, radix } = TREES.find(({ family }) => family === ip.family)!;
  if (prefix === 0 || prefix % bitsPerLabel !== 0) return undefined;
  const labels: string[] = [];
  for (let value = ip.value >> BigInt(BITS[ip.family] - prefix); labels.length < prefix / bitsPerLabel; ) {
    labels.push((value & BigInt(2 ** bitsPerLabel - 1)).toString(radix));
    value >>= BigInt(bitsPerLabel);
  }
  return `${labels.join('.')}${suffix}`;
}
