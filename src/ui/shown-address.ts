/** The address that a link has. Pure. */
interface OwnAddress {
  readonly address: string;
  readonly family: string;
  /** Of loopback. */
  readonly internal: boolean;
}

/**
 * What is listened on; where that is all addresses, which is no address to open, the first that others reach, or loopback's. `own`: as
 * of `os.networkInterfaces()`.
 */
export function shownAddress(
  listened: string,
  own: Readonly<Record<string, readonly OwnAddress[] | undefined>>,
): string {
  if (listened !== '0.0.0.0' && listened !== '::') return listened;
  const family = listened === '::' ? 'IPv6' : 'IPv4';
  const found = Object.values(own)
    .flatMap((addresses) => addresses ?? [])
    .find((each) => each.family === family && !each.internal && !/^(fe80:|169\.254\.)/.test(each.address));
  return found?.address ?? (family === 'IPv6' ? '::1' : '127.0.0.1');
}
