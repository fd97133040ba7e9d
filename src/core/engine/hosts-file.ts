/**
 * A container's `/etc/hosts` on networks of remote drivers: Docker 28 writes the container's own IPv4 address there as an
 * IPv6 address that stands for it (`::ffff:10.0.0.3`, RFC 4291, section 2.5.5.2). No program can reach that, and musl
 * finds no IPv4 address by the name.
 *
 * It is written over in place and at the same length: the file is mounted into the container, and Docker appends to it.
 * Docker does not find such a line again when the container leaves the network: then it becomes a comment.
 */
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)(?=\t)/gm;
/** As long as the other form, so nobody else's. */
const MENDED = /^(\d+\.\d+\.\d+\.\d+) {7}(?=\t)/gm;

export interface Overwrite {
  /** In bytes from the beginning of the file. */
  readonly offset: number;
  readonly before: string;
  /** Of the same length. */
  readonly after: string;
}

export interface OwnAddresses {
  /** IPv4. */
  readonly addresses: ReadonlySet<string>;
  /** Whether the container has no others. */
  readonly areAll: boolean;
}

/** `text`: one character per byte. */
export function mendHosts(text: string, { addresses, areAll }: OwnAddresses): readonly Overwrite[] {
  const wrong = [...text.matchAll(MAPPED)].flatMap((found): Overwrite[] => {
    const [before, address = ''] = found;
    return addresses.has(address) ? [{ offset: found.index, before, after: address.padEnd(before.length) }] : [];
  });
  if (!areAll) return wrong;
  const stale = [...text.matchAll(MENDED)].flatMap((found): Overwrite[] => {
    const [before, address = ''] = found;
    return addresses.has(address) ? [] : [{ offset: found.index, before, after: `#${before.slice(1)}` }];
  });
  return [...wrong, ...stale];
}
