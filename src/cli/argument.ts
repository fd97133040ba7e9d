/** What options may hold, checked before the agent is asked; the messages show the right form. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseCidr } from '../core/cidr.ts';
import { parseDuration } from '../core/config/duration.ts';
import { formatHostPort, parseHostPort, parseHttpUrl } from '../core/host-port.ts';
import { type Family, familyOf, formatIp, parseIp, refuseMapped } from '../core/ip.ts';
import { checkLabels } from '../core/labels.ts';
import { parseNamedContainer } from '../core/named-container.ts';
import { checkNodeName } from '../core/names.ts';
import { checkLocally, UsageError } from './exit.ts';

export type Pairs = Readonly<Record<string, string>>;

/** Collects `KEY=VALUE`, and `KEY` alone as an empty value (labels and driver options, as Docker). */
export function collectPairs(text: string, previous: Pairs | undefined): Pairs {
  const [key, value] = splitPair(text);
  if (key === '') throw new InvalidArgumentError('The key is missing; write it like team=web.');
  return { ...previous, [key]: value ?? '' };
}

/** Collects `NAME=IP`. */
export function collectAddresses(text: string, previous: Pairs | undefined): Pairs {
  const [name, address] = splitPair(text);
  if (name === '' || address === undefined) throw new InvalidArgumentError('Write it like router=10.0.1.2.');
  if (previous && Object.hasOwn(previous, name)) throw new InvalidArgumentError(`The name ${name} is given twice.`);
  return { ...previous, [name]: parseAddress(address) };
}

export function splitPair(text: string): [key: string, value: string | undefined] {
  const equals = text.indexOf('=');
  return equals < 0 ? [text, undefined] : [text.slice(0, equals), text.slice(equals + 1)];
}

/** Makes a parser of one value collect several. */
export function collect<T>(
  parse: (text: string) => T,
): (text: string, previous: readonly T[] | undefined) => readonly T[] {
  return (text, previous) => [...(previous ?? []), parse(text)];
}

/** A static address of that family, in canonical form. */
export function parseStaticAddress(family: Family): (text: string) => string {
  return (text) => {
    const ip = parseIp(text);
    if (ip?.family === family) {
      checkLocally(() => refuseMapped(ip, text, 'address'));
      return formatIp(ip);
    }
    const [example, other] = family === 4 ? ['10.0.1.5', '--ip6'] : ['fd00:0:0:1::5', '--ip'];
    const hint = ip ? `, and give this one as ${other}` : '';
    throw new InvalidArgumentError(`Write an IPv${family} address, like ${example}${hint}.`);
  };
}

/** Of either family. */
export function parseAddress(text: string): string {
  const ip = parseIp(text);
  if (ip === undefined) throw new InvalidArgumentError('Write an IP address, like 10.0.1.5 or fd00:1::5.');
  checkLocally(() => refuseMapped(ip, text, 'address'));
  return text;
}

/** Of either family. */
export function parseSubnet(text: string): string {
  if (parseCidr(text) === undefined) throw new InvalidArgumentError('Write a CIDR, like 10.0.1.0/24 or fd00:1::/64.');
  return text;
}

export function parsePool(text: string): string {
  if (parseCidr(text)?.ip.family === 4) return text;
  throw new InvalidArgumentError(
    "Write an IPv4 CIDR, like 10.0.0.0/8; automatic subnets of IPv6 come from the cluster's own /48.",
  );
}

export function parseMac(text: string): string {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(text)) {
    throw new InvalidArgumentError('Write a MAC address, like 02:42:0a:00:01:05.');
  }
  return text.toLowerCase();
}

/** Linux: 15 bytes at most, no slash, no space, not a dot or two. */
export function parseIfname(text: string): string {
  if (!/^[\x21-\x7e]{1,15}$/.test(text) || /[/:]/.test(text) || text === '.' || text === '..') {
    throw new InvalidArgumentError('Write an interface name of at most 15 letters and digits, like eth0.');
  }
  return text;
}

/** As Docker takes them: 32 bits. */
export function parsePriority(text: string): number {
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || value < -(2 ** 31) || value >= 2 ** 31) {
    throw new InvalidArgumentError('Write a whole number from -2147483648 to 2147483647, like 10.');
  }
  return value;
}

export function parsePort(text: string): number {
  return parseWhole(text, 1, 65_535, 'Write a port from 1 to 65535.');
}

/** The first of two. */
export function parseWireguardPort(text: string): number {
  return parseWhole(text, 1, 65_534, 'Write a port from 1 to 65534; WireGuard has the next one too.');
}

/** Empty, as of a variable that is not set: as if it was not given. */
export function parseNodeName(text: string): string {
  return text === '' ? text : checkLocally(() => checkNodeName(text, ''));
}

/** Of a node. */
export function checkNodeLabels(labels: Pairs = {}): Pairs {
  return checkLocally(() => checkLabels(labels, 'node'));
}

export function parseMaskLength(text: string): number {
  return parseWhole(text, 1, 31, 'Write the prefix length of each subnet, from 1 to 31, like 24.');
}

export function parseUses(text: string): number {
  return parseWhole(text, 1, 1_000_000, 'Write how often the token may be used, 1 or more; leave it out for no limit.');
}

function parseWhole(text: string, min: number, max: number, hint: string): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new InvalidArgumentError(hint);
  return value;
}

/** What the cluster says of encryption; empty: nothing. */
export function parseEncrypt(text: string): string {
  if (text === 'default' || text === 'required') return text;
  if (/^(true|t|1)$/i.test(text)) return 'default';
  if (/^(false|f|0)$/i.test(text)) return '';
  throw new InvalidArgumentError('Write --encrypt, or --encrypt=required.');
}

/** How many hosts keep the store. */
export function parseStoreMembers(text: string): number {
  if (/^[135]$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Write 1, 3 or 5: of an even number the loss of half stops the store.');
}

/** Milliseconds; 0 for ever. */
export function parseTtl(text: string): number {
  const value = parseDuration(text);
  if (value === undefined) throw new InvalidArgumentError('Write a duration, like 30m, 24h or 7d; 0 never expires.');
  return value;
}

/** `NAME=VALUE` of ssh_config(5), which ssh takes with a space between as well. */
export function parseSshOption(text: string): string {
  if (/^[A-Za-z][A-Za-z0-9]*\s*[=\s]\s*\S/.test(text)) return text;
  throw new InvalidArgumentError('Write it like ProxyJump=host1.');
}

/** An address of this host or an interface: ports have flags of their own. */
export function parseAddressOrInterface(text: string): string {
  const { host, port } = parseHostPort(text) ?? {};
  if (host !== undefined && familyOf(host) !== undefined) {
    parseAddress(host);
    if (port === undefined) return host;
    throw new InvalidArgumentError(`Leave the port out, --join-port sets it: ${host}.`);
  }
  if (text === '' || /[\s/:]/.test(text) || /^[\d.]+$/.test(text)) {
    throw new InvalidArgumentError(
      'Write an address of this host or an interface, like 192.0.2.1, 2001:db8::1 or eth0.',
    );
  }
  return text;
}

/** `host[:port]` of a member, the port filled in; an address of IPv6 has brackets where a port follows. */
export function parseMemberAddress(text: string, defaultPort: number): string {
  const { host = '', port = defaultPort } = parseHostPort(text) ?? {};
  const isName = /^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(host) && !/^[\d.]+$/.test(host);
  if (isName || familyOf(host) !== undefined) return formatHostPort(host, port);
  throw new UsageError(
    `"${text}" is not the address of a member; write it like 192.0.2.1, 192.0.2.1:${defaultPort} or [2001:db8::1]:${defaultPort}`,
  );
}

/** `http://` or `https://` with host and port, separated by commas, all of one scheme. */
export function parseEtcdUrls(text: string, previous: readonly string[] | undefined): readonly string[] {
  const urls = text.split(',').map((url) => url.trim());
  if (!urls.every((url) => parseHttpUrl(url)?.port !== undefined)) {
    throw new InvalidArgumentError(
      'Write URLs with a port, separated by commas: https://192.0.2.5:2379,https://[2001:db8::6]:2379.',
    );
  }
  return [...(previous ?? []), ...urls];
}

/** CONTAINER of connect and disconnect, when it must be a network namespace. */
export function checkContainer(text: string): string {
  if (/^netns:(\/\S+|[^/\s]+)$/.test(text) || /^pid:[1-9]\d{0,9}$/.test(text)) return text;
  if (parseNamedContainer(text)) return text;
  // Docker's own rule for names; ids are of the same characters.
  if (/^(docker:)?[a-zA-Z0-9][a-zA-Z0-9_.-]*$/.test(text)) return text;
  throw new UsageError(
    `"${text}" is not a container that overlayd can find; write the name or id of a Docker container, netns:NAME (as \`ip netns\` lists it), netns:/PATH, pid:NUMBER, machine:NAME (as \`machinectl\` lists it), lxc:NAME (as \`lxc-ls\` does) or incus:NAME (as \`incus list\` does)`,
  );
}

/** Adds an option that other tools have and this one refuses, saying why; it is not in the help. */
export function refuseOption(command: Command, flags: string, reason: string): void {
  const option = new Option(flags).hideHelp();
  command.addOption(option).on(`option:${option.name()}`, () => {
    throw new UsageError(`${option.long} is not supported: ${reason}`);
  });
}

/** Docker's `--switch=true` and `--switch=false` as plain switches; of those that may be on without being said false is `--no-…`. */
export function normaliseSwitches(program: Command, args: readonly string[]): readonly string[] {
  const switches = switchesOf(program);
  const end = args.includes('--') ? args.indexOf('--') : args.length;
  return args.flatMap((arg, i) => {
    const [, name = '', value = ''] = (i < end && /^--([a-z0-9-]+)=(.*)$/s.exec(arg)) || [];
    if (!switches.has(name)) return [arg];
    if (/^(true|t|1)$/i.test(value)) return [`--${name}`];
    if (!/^(false|f|0)$/i.test(value))
      throw new UsageError(`--${name}=${value}: write --${name}=true or --${name}=false`);
    return switches.has(`no-${name}`) ? [`--no-${name}`] : [];
  });
}

/** Names of all options that take no value, and `NAME` of `--no-NAME`. */
function switchesOf(command: Command): ReadonlySet<string> {
  const plain = command.options.filter(({ required, optional }) => !required && !optional);
  const names = plain.flatMap(({ long }) => long?.slice('--'.length) ?? []);
  const denied = names.filter((name) => name.startsWith('no-') && name !== 'no-trunc').map((name) => name.slice(3));
  return new Set([...names, ...denied, ...command.commands.flatMap((child) => [...switchesOf(child)])]);
}
