/** How a person writes another host, and what a program said there. */
import { parseHostPort } from '../../core/host-port.ts';
import type { RemoteEnd } from '../../ports/remote.ts';
import { UsageError } from '../exit.ts';

/** `[ssh://][user@]host[:port]`. */
export function parseRemote(text: string): { readonly destination: string; readonly port: number | undefined } {
  const [, user, place = ''] = /^(?:ssh:\/\/)?(?:([\w.][\w.$@-]*)@)?([^@]+?)\/?$/.exec(text) ?? [];
  const found = parseHostPort(place);
  if (found && /^[A-Za-z0-9_.:%]/.test(found.host)) {
    return { destination: user === undefined ? found.host : `${user}@${found.host}`, port: found.port };
  }
  throw new UsageError(
    `"${text}" is no host that ssh reaches; write it like root@192.0.2.2, root@host2:2222 or root@[2001:db8::2]`,
  );
}

/** What a program said last, for a message. */
export function lastLines({ stdout, stderr }: RemoteEnd, count = 3): string {
  const lines = `${stdout}\n${stderr}`.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '')
    .slice(-count)
    .join('; ');
}
