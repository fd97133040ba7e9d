/**
 * What an instance's configuration says of a network: `user.overlayd.web: yes`, or what `connect` would be given, e.g.
 * `alias=backend ip=10.0.0.9`. Incus keeps it over restarts, in copies, and in profiles for all instances that have them.
 */
import type { ConnectOptions } from '../connect-options.ts';
import { OverlaydError } from '../errors.ts';

export const WISH_PREFIX = 'user.overlayd.';

const ONCE = { name: 'name', ip: 'ip', ip6: 'ip6', mac: 'mac', ifname: 'ifname', 'gw-priority': 'gwPriority' } as const;
const OFTEN = { alias: 'aliases', port: 'ports' } as const;

export function wishKey(network: string): string {
  return WISH_PREFIX + network;
}

/** By network, of an instance's configuration. */
export function wishesIn(config: Readonly<Record<string, string>>): Map<string, string> {
  const keys = Object.entries(config).filter(([key, text]) => key.startsWith(WISH_PREFIX) && text.trim() !== '');
  return new Map(keys.map(([key, text]) => [key.slice(WISH_PREFIX.length), text]));
}

/** Undefined: the network is not wanted. Throws `invalid-argument`. */
export function parseWish(text: string): ConnectOptions | undefined {
  if (/^\s*(no|false|off|0)?\s*$/i.test(text)) return undefined;
  if (/^\s*(yes|true|on|1)\s*$/i.test(text)) return { aliases: [], ports: [] };
  const once: Record<string, string> = {};
  const often: { aliases: string[]; ports: string[] } = { aliases: [], ports: [] };
  for (const part of text.split(/[\s,]+/).filter((each) => each !== '')) {
    const [, key = '', value = ''] = /^([a-z0-9-]+)=(.+)$/.exec(part) ?? [];
    if (Object.hasOwn(OFTEN, key)) often[OFTEN[key as keyof typeof OFTEN]].push(value);
    else if (Object.hasOwn(ONCE, key) && !Object.hasOwn(once, ONCE[key as keyof typeof ONCE]))
      once[ONCE[key as keyof typeof ONCE]] = value;
    else throw unreadable(text, part);
  }
  const { gwPriority, ...rest } = once;
  if (gwPriority !== undefined && !/^-?\d{1,10}$/.test(gwPriority)) throw unreadable(text, `gw-priority=${gwPriority}`);
  return { ...rest, ...often, ...(gwPriority === undefined ? {} : { gwPriority: Number(gwPriority) }) };
}

export function formatWish({ aliases, ports = [], ...once }: ConnectOptions): string {
  const parts = [
    ...Object.entries(ONCE).flatMap(([key, field]) => (once[field] === undefined ? [] : [`${key}=${once[field]}`])),
    ...aliases.map((alias) => `alias=${alias}`),
    ...ports.map((port) => `port=${port}`),
  ];
  return parts.length === 0 ? 'yes' : parts.join(' ');
}

function unreadable(text: string, part: string): OverlaydError {
  const known = [...Object.keys(ONCE), ...Object.keys(OFTEN)].join(', ');
  return new OverlaydError(
    'invalid-argument',
    `${JSON.stringify(text.slice(0, 80))}: "${part.slice(0, 40)}" means nothing here; write yes, no, or KEY=VALUE with spaces between them, of: ${known}`,
  );
}
