/**
 * Names of a network that a person gave, and no container: what may be given, and how a network's sets of them change. All
 * of a network's lie in one record, so that what one transaction checks (no alias in a circle or beside other records, no
 * more than so many) holds for all of them.
 */
import { OverlaydError } from '../errors.ts';
import { type Family, formatIp, requireIp } from '../ip.ts';
import { isDnsName } from '../names.ts';
import type { NetworkRecord, StaticSet } from '../records.ts';
import { DOMAIN } from './domain.ts';

/** Of all names of a network together. */
export const MOST_STATIC_VALUES = 256;
/** From one alias to the next. */
export const MOST_LINKS = 8;
const MOST_TEXT = 512;
const MOST_TTL_SECONDS = 86_400;
/** What a name may have with its network and the domain behind it (RFC 1035, 2.3.4). */
const MOST_CHARACTERS = 253;

type Owner = Pick<NetworkRecord, 'name'>;
/** A value in its one form. Throws `invalid-argument`, `invalid-address`, `invalid-name`. */
type Parse = (text: string, network: Owner) => string;

const TYPES = {
  A: address(4),
  AAAA: address(6),
  CNAME: (text, network) => staticName(text, network, 'the name that a CNAME stands for'),
  TXT: (text) => {
    if (/^[ -~]*$/.test(text) && text.length <= MOST_TEXT) return text;
    throw invalid(`TXT: a text has at most ${MOST_TEXT} characters, letters, digits and signs of ASCII`);
  },
  SRV: service,
} satisfies Record<string, Parse>;

export type StaticType = keyof typeof TYPES;

export interface StaticRequest {
  readonly name: string;
  readonly type: string;
  readonly values: readonly string[];
  /** Undefined: as the names of containers. */
  readonly ttlSeconds?: number | undefined;
}

/** In its one form. Throws `invalid-argument`, `invalid-address`, `invalid-name`. */
export function parseStaticSet(request: StaticRequest, network: Owner): StaticSet {
  const { ttlSeconds } = request;
  const name = staticName(request.name, network, 'name');
  const type = staticType(request.type);
  if (
    ttlSeconds !== undefined &&
    !(Number.isInteger(ttlSeconds) && ttlSeconds >= 0 && ttlSeconds <= MOST_TTL_SECONDS)
  ) {
    throw invalid('--ttl: write a duration from 0 to 1d, in whole seconds');
  }
  const values = parseStaticValues(type, request.values, network);
  if (values.length === 0) throw invalid(`${type}: a value is missing, e.g. ${EXAMPLES[type]}`);
  return { name, type, values, ...(ttlSeconds === undefined ? {} : { ttlSeconds }) };
}

/** As a name of the network is kept: in lower case, without the domain behind it, and without the network. */
export function staticName(text: string, { name: network }: Owner, what: string): string {
  const below = network.toLowerCase();
  let name = text.toLowerCase().replace(/\.$/, '');
  if (name.endsWith(`.${below}.${DOMAIN}`)) name = name.slice(0, -`.${below}.${DOMAIN}`.length);
  // `_http._tcp.web` may well be a service of the container web on the network web.
  else if (name.endsWith(`.${below}`) && !name.startsWith('_')) name = name.slice(0, -`.${below}`.length);
  const why = unfit(name, below);
  if (why === undefined) return name;
  const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  throw new OverlaydError('invalid-name', `${what}: ${shown} ${why}`);
}

function unfit(name: string, network: string): string | undefined {
  if (name.includes('*')) return 'is a pattern; give each name by itself';
  if (!isDnsName(name) || `${name}.${network}.${DOMAIN}`.length > MOST_CHARACTERS) {
    return 'is not valid: letters, digits, "-" and "_", with dots between labels of at most 63, e.g. db or _http._tcp.web';
  }
  if (name === network || name === DOMAIN || name.endsWith(`.${DOMAIN}`)) {
    return `is no name of the network ${network}; give one below it, like db`;
  }
  if (name === 'localhost') return "is every container's own name for itself; choose another one";
  if (name === 'tasks' || name.startsWith('tasks.')) return 'means all containers that go by a name; leave tasks. out';
  if (name === 'arpa' || name.endsWith('.arpa'))
    return 'is the name of an address, which follows from A and AAAA records';
  return undefined;
}

/** Throws `invalid-argument`. */
export function staticType(text: string): StaticType {
  const type = text.toUpperCase();
  if (Object.hasOwn(TYPES, type)) return type as StaticType;
  throw invalid(`type ${JSON.stringify(text.slice(0, 20))}: there is ${Object.keys(TYPES).join(', ')}`);
}

/** Each once, in the order given. */
export function parseStaticValues(type: StaticType, values: readonly string[], network: Owner): string[] {
  const parse: Parse = TYPES[type];
  const whole = type === 'SRV' ? inFours(values) : values;
  return [...new Set(whole.map((value) => parse(value, network)))];
}

/** Four words make one, whether they came as one argument or as four. */
function inFours(values: readonly string[]): string[] {
  const words = values
    .join(' ')
    .split(/\s+/)
    .filter((word) => word !== '');
  const fours: string[] = [];
  for (let at = 0; at < words.length; at += 4) fours.push(words.slice(at, at + 4).join(' '));
  return fours;
}

const EXAMPLES: Record<StaticType, string> = {
  A: '192.0.2.9',
  AAAA: '2001:db8::9',
  CNAME: 'db',
  TXT: '"v=1"',
  SRV: '0 5 8080 web',
};

function address(family: Family): Parse {
  return (text) => formatIp(requireIp(text, family === 4 ? 'A' : 'AAAA', family));
}

/** RFC 2782: priority, weight, port and the host, which may be one outside; `.` says that there is no such service. */
function service(text: string, network: Owner): string {
  const [priority, weight, port, target, ...more] = text.split(' ');
  const numbers = [priority, weight, port].map((word) => (/^\d{1,5}$/.test(word ?? '') ? Number(word) : Number.NaN));
  if (target === undefined || more.length > 0 || !numbers.every((each) => each <= 65_535)) {
    throw invalid(`SRV: "${text.slice(0, 60)}" is not priority, weight, port and host, like ${EXAMPLES.SRV}`);
  }
  const host =
    target === '.' ? '.' : target.includes('.') ? outsideOr(target, network) : staticName(target, network, 'SRV host');
  return [...numbers, host].join(' ');
}

function outsideOr(target: string, network: Owner): string {
  const name = target.toLowerCase().replace(/\.$/, '');
  const isOwn = name.endsWith(`.${network.name.toLowerCase()}`) || name.endsWith(`.${DOMAIN}`);
  return isOwn || !isDnsName(name) ? staticName(target, network, 'SRV host') : name;
}

// ---------------------------------------------------------------- sets

/**
 * With these values too; those that are there stay, the time to live is the new one where one is given. Throws
 * `name-in-use` (an alias beside other records, or in a circle), `too-many-names`.
 */
export function withStaticSet(sets: readonly StaticSet[], added: StaticSet): readonly StaticSet[] {
  const { name, type } = added;
  const held = sets.find((set) => set.name === name && set.type === type);
  const values = [...new Set([...(held?.values ?? []), ...added.values])];
  const others = sets.filter((set) => set.name === name && set.type !== type);
  if (others.length > 0 && (type === 'CNAME' || others.some((set) => set.type === 'CNAME'))) {
    const there = others.map((set) => set.type).join(', ');
    throw inUse(`${name} has ${there}: an alias (CNAME) has no records beside it; remove one of both`);
  }
  if (type === 'CNAME' && values.length > 1) {
    const one = held?.values[0] ?? added.values[0];
    throw inUse(`${name} can stand for one name alone, ${one}; remove that first`);
  }
  const set = { ...held, ...added, values };
  const next = held ? sets.map((each) => (each === held ? set : each)) : [...sets, set];
  refuseLongChains(next);
  const count = next.reduce((sum, each) => sum + each.values.length, 0);
  if (count > MOST_STATIC_VALUES) {
    throw new OverlaydError(
      'too-many-names',
      `a network has at most ${MOST_STATIC_VALUES} static records, and this would be number ${count}; remove some (overlayd dns rm), or run a name server and name it with -o dns=`,
    );
  }
  return next;
}

/**
 * Without these: all of the name, all of that type, or those values. Throws `name-not-found` when there are none.
 */
export function withoutStatic(
  sets: readonly StaticSet[],
  {
    name,
    type,
    values,
  }: { readonly name: string; readonly type?: StaticType | undefined; readonly values: readonly string[] },
): readonly StaticSet[] {
  const matches = (set: StaticSet) => set.name === name && (type === undefined || set.type === type);
  const held = new Set(sets.filter(matches).flatMap((set) => set.values));
  const missing = values.find((value) => !held.has(value));
  if (held.size === 0 || missing !== undefined) {
    const what = [name, type, missing].filter((word) => word !== undefined).join(' ');
    throw new OverlaydError('name-not-found', `no static record ${what}; \`overlayd dns ls\` lists them`);
  }
  return sets.flatMap((set) => {
    if (!matches(set)) return [set];
    const left = values.length === 0 ? [] : set.values.filter((value) => !values.includes(value));
    return left.length === 0 ? [] : [{ ...set, values: left }];
  });
}

function refuseLongChains(sets: readonly StaticSet[]): void {
  const aliases = new Map(sets.filter(({ type }) => type === 'CNAME').map(({ name, values }) => [name, values[0]!]));
  for (const first of aliases.keys()) {
    const chain = [first];
    for (let next = aliases.get(first); next !== undefined; next = aliases.get(next)) {
      const isCircle = chain.includes(next);
      chain.push(next);
      if (isCircle) throw inUse(`aliases in a circle lead nowhere: ${chain.join(' -> ')}`);
      if (chain.length > MOST_LINKS + 1)
        throw inUse(`more than ${MOST_LINKS} aliases one behind the other: ${chain.join(' -> ')}`);
    }
  }
}

function inUse(message: string): OverlaydError {
  return new OverlaydError('name-in-use', message);
}

function invalid(message: string): OverlaydError {
  return new OverlaydError('invalid-argument', message);
}
