/**
 * The domain in which a name means the same whoever is asked first: `NAME.NETWORK.overlayd.internal`. A container
 * engine's own resolver answers NAME and NAME.NETWORK from the containers of its host alone, and asks nobody else then;
 * of this domain it knows nothing. The top-level domain `internal` is reserved for private use.
 */
export const DOMAIN = 'overlayd.internal';

/** What a name (lower case) says in front of the domain, empty for the domain itself; undefined outside of it. */
export function withinDomain(name: string): string | undefined {
  if (!name.endsWith(DOMAIN)) return undefined;
  if (name.length === DOMAIN.length) return '';
  const end = name.length - DOMAIN.length - 1;
  return name[end] === '.' ? name.slice(0, end) : undefined;
}
