/** What a resolver's file says that is ours, and what may be written over (resolv.conf(5)). */
const MARK = '# Written by overlayd; it goes when the container is disconnected.';

export function resolverText(servers: readonly string[]): string {
  return [MARK, ...servers.map((server) => `nameserver ${server}`), 'options ndots:0', ''].join('\n');
}

export function isOwnResolverText(text: string): boolean {
  return text.startsWith(MARK);
}

/** In one line, for people who have to write it themselves. */
export function resolverLines(servers: readonly string[]): string {
  return servers.map((server) => `nameserver ${server}`).join(', ');
}
