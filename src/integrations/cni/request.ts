/**
 * What a runtime asks, out of its environment and its standard input. Source: CNI 1.1.0, "Execution protocol", and
 * CONVENTIONS.md for capabilities and arguments.
 *
 * What would have to be honoured and is not known is refused, but where something is taken away: that has to succeed.
 */
import { familyOf } from '../../core/ip.ts';
import { nearest } from '../../core/nearest.ts';
import type { PortMapping } from '../../core/publish.ts';
import type { ToolCall } from '../../ports/tools.ts';
import { type Fields, fieldsOf, isFields, listOf, textOf, textsOf } from './fields.ts';
import { portsOf } from './ports.ts';
import { CNI, cniError } from './problem.ts';
import { type Resolver, resolverOf } from './result.ts';

/** Newest last. */
export const VERSIONS = ['0.4.0', '1.0.0', '1.1.0'];
export const NEWEST = '1.1.0';

/** What a configuration may say, `cni.dev/…` besides. */
const KEYS = [
  ...['cniVersion', 'name', 'type', 'capabilities', 'runtimeConfig', 'args', 'prevResult', 'ipam', 'dns'],
  ...['network', 'aliases', 'gwPriority'],
];
const CAPABILITIES = ['ips', 'mac', 'aliases', 'dns', 'portMappings'];
const ARGUMENTS = ['IP', 'MAC', 'NAME', 'ALIAS'];
/** Of orchestrators; names are made of some of them. */
const OTHERS_ARGUMENTS = /^(K8S_|NERDCTL_|IgnoreUnknown$)/;
const CONTAINER_ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
/** Linux: `dev_valid_name`. */
const INTERFACE = /^(?!\.\.?$)[^\s/:]{1,15}$/;

export interface AttachmentId {
  readonly containerId: string;
  readonly ifname: string;
}

/** What every command but VERSION and GC is about. */
export interface Subject extends AttachmentId {
  /** Empty: the runtime does not say, or it is gone. */
  readonly netns: string;
}

export interface Configuration {
  readonly cniVersion: string;
  /** Of the configuration: what an attachment is known by goes by it. */
  readonly name: string;
  /** The cluster's. */
  readonly network: string;
  readonly fields: Fields;
}

export interface Wishes {
  /** Asked for by name: it, or nothing. */
  readonly name: string | undefined;
  readonly aliases: readonly string[];
  readonly ip: string | undefined;
  readonly ip6: string | undefined;
  readonly mac: string | undefined;
  readonly gwPriority: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined: the network's own. */
  readonly resolver: Resolver | undefined;
  readonly published: readonly PortMapping[];
  readonly args: ReadonlyMap<string, string>;
}

/** Of whatever was sent, for answers. */
export function versionIn(input: string): string {
  try {
    const { cniVersion } = JSON.parse(input) as { cniVersion?: unknown };
    return typeof cniVersion === 'string' && cniVersion !== '' ? cniVersion : NEWEST;
  } catch {
    return NEWEST;
  }
}

export function parseConfiguration(input: string): Configuration {
  let fields: unknown;
  try {
    fields = JSON.parse(input);
  } catch (error) {
    throw cniError(CNI.decode, `the CNI configuration on standard input is no JSON: ${(error as Error).message}`);
  }
  if (!isFields(fields)) throw cniError(CNI.decode, 'the CNI configuration on standard input is no JSON object');
  const cniVersion = textOf(fields, 'cniVersion') ?? '0.1.0';
  if (!VERSIONS.includes(cniVersion)) {
    throw cniError(CNI.version, `cniVersion ${cniVersion} is not spoken: write one of ${VERSIONS.join(', ')}`);
  }
  const name = textOf(fields, 'name');
  if (name === undefined || !CONTAINER_ID.test(name)) {
    throw cniError(CNI.config, `"name" in the CNI configuration has to be of letters, digits, ".", "_" and "-"`);
  }
  return { cniVersion, name, network: textOf(fields, 'network') ?? name, fields };
}

/** `named`: with a namespace. */
export function parseSubject({ env }: ToolCall, named: boolean): Subject {
  const { CNI_CONTAINERID: containerId = '', CNI_IFNAME: ifname = '', CNI_NETNS: netns = '' } = env;
  if (!CONTAINER_ID.test(containerId)) throw badEnvironment('CNI_CONTAINERID', containerId);
  if (!INTERFACE.test(ifname)) throw badEnvironment('CNI_IFNAME', ifname);
  if (named && !netns.startsWith('/')) throw badEnvironment('CNI_NETNS', netns);
  return { containerId, ifname, netns };
}

function badEnvironment(variable: string, value: string) {
  return cniError(CNI.environment, `${variable} ${value === '' ? 'is not set' : `is ${JSON.stringify(value)}`}`);
}

/** Refuses what is not known of the configuration. */
export function checkConfiguration({ fields }: Configuration): void {
  for (const key of Object.keys(fields)) {
    if (KEYS.includes(key) || key.startsWith('cni.dev/')) continue;
    throw cniError(CNI.unsupportedField, `"${key}" in the CNI configuration is not known${meant(key, KEYS)}`);
  }
  const ipam = textOf(fieldsOf(fields, 'ipam'), 'type', 'ipam.');
  if (ipam !== undefined && ipam !== 'overlayd') {
    throw cniError(
      CNI.unsupportedField,
      `"ipam": ${ipam} would give addresses of this host's own choice: addresses are the cluster's; leave "ipam" out`,
    );
  }
}

export function parseWishes({ env }: ToolCall, { fields, name }: Configuration): Wishes {
  const args = parseArguments(env.CNI_ARGS ?? '');
  const runtime = fieldsOf(fields, 'runtimeConfig');
  for (const key of Object.keys(runtime)) {
    if (CAPABILITIES.includes(key)) continue;
    throw cniError(
      CNI.unsupportedField,
      `capability ${key} is not known${meant(key, CAPABILITIES)}; take it out of "capabilities"`,
    );
  }
  const given = fieldsOf(fieldsOf(fields, 'args'), 'cni', 'args.');
  const addresses = [
    ...textsOf(runtime, 'ips', 'runtimeConfig.'),
    ...textsOf(given, 'ips', 'args.cni.'),
    ...split(args.get('IP')),
  ];
  const gwPriority = fields.gwPriority ?? undefined;
  if (gwPriority !== undefined && !Number.isInteger(gwPriority)) {
    throw cniError(CNI.config, '"gwPriority" in the CNI configuration has to be a whole number');
  }
  return {
    name: args.get('NAME') || textOf(given, 'name', 'args.cni.'),
    aliases: [
      ...textsOf(fields, 'aliases'),
      ...runtimeAliases(runtime, name),
      ...textsOf(given, 'aliases', 'args.cni.'),
      ...split(args.get('ALIAS')),
    ],
    ...addressesOf(addresses),
    mac:
      textOf(runtime, 'mac', 'runtimeConfig.') ?? textOf(given, 'mac', 'args.cni.') ?? (args.get('MAC') || undefined),
    gwPriority: gwPriority as number | undefined,
    labels: labelsOf(given),
    resolver: resolverOf(fieldsOf(runtime, 'dns', 'runtimeConfig.'), fieldsOf(fields, 'dns')),
    published: portsOf(runtime),
    args,
  };
}

/** Whom the runtime still has; undefined: it does not say. */
export function parseValid({ fields }: Configuration): readonly AttachmentId[] | undefined {
  if (!('cni.dev/valid-attachments' in fields)) return undefined;
  return listOf(fields, 'cni.dev/valid-attachments').map((each) => ({
    containerId: textOf(each, 'containerID') ?? '',
    ifname: textOf(each, 'ifname') ?? '',
  }));
}

function parseArguments(text: string): ReadonlyMap<string, string> {
  const args = new Map<string, string>();
  for (const pair of text.split(';')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    if (equals < 1) throw cniError(CNI.environment, `CNI_ARGS: write "${pair}" as KEY=VALUE`);
    args.set(pair.slice(0, equals), pair.slice(equals + 1));
  }
  if (/^(1|t|true)$/i.test(args.get('IgnoreUnknown') ?? '')) return args;
  for (const key of args.keys()) {
    if (ARGUMENTS.includes(key) || OTHERS_ARGUMENTS.test(key)) continue;
    throw cniError(
      CNI.environment,
      `CNI_ARGS: ${key} is not known${meant(key, ARGUMENTS)}; IgnoreUnknown=1 lets it pass`,
    );
  }
  return args;
}

/** Podman tells them by the name of the network, others as a list. */
function runtimeAliases(runtime: Fields, network: string): readonly string[] {
  if (isFields(runtime.aliases)) return textsOf(runtime.aliases, network, 'runtimeConfig.aliases.');
  return textsOf(runtime, 'aliases', 'runtimeConfig.');
}

/** One of each family; a prefix length is the subnet's anyway. */
function addressesOf(addresses: readonly string[]): Pick<Wishes, 'ip' | 'ip6'> {
  const found: { 4?: string; 6?: string } = {};
  for (const text of new Set(addresses)) {
    const [address = ''] = text.split('/');
    const family = familyOf(address);
    if (family === undefined) throw cniError(CNI.config, `"${text}" is no address, like 10.0.1.5 or 10.0.1.5/24`);
    if (found[family] !== undefined && found[family] !== address) {
      throw cniError(CNI.config, `${found[family]} and ${address}: an endpoint has one address of each family`);
    }
    found[family] = address;
  }
  return { ip: found[4], ip6: found[6] };
}

function labelsOf(given: Fields): Readonly<Record<string, string>> {
  const labels = listOf(given, 'labels', 'args.cni.');
  return Object.fromEntries(
    labels.map((label) => [textOf(label, 'key', 'args.cni.labels.') ?? '', textOf(label, 'value') ?? '']),
  );
}

function split(text = ''): readonly string[] {
  return text.split(',').filter((each) => each !== '');
}

function meant(word: string, known: readonly string[]): string {
  const found = nearest(word, known);
  return found === undefined ? ` (known: ${known.join(', ')})` : `: did you mean ${found}?`;
}
