/**
 * The options of `network create` (`-o KEY=VALUE`): which there are, by all their spellings, and what they mean. A record keeps
 * them as they were given; everybody else asks for their meaning. Docker's own keys have a short form, their last part. What
 * Docker knows and this does not do is refused with what to do instead, everything else with the nearest name.
 */
import { MOST_UPSTREAMS, parseUpstreams, refuseUselessUpstreams } from './dns/upstreams.ts';
import { OverlaydError } from './errors.ts';
import type { Family } from './ip.ts';
import { nearest } from './nearest.ts';
import type { NetworkRecord } from './records.ts';
import { LEAST_OVERHEAD_BYTES } from './underlay.ts';

/** By spelling, as given. */
export type Options = Readonly<Record<string, string>>;

/**
 * How a network's containers get out of it. `nat`: with the host's address. `routed`: with their own. `isolated`: not at all,
 * and what their gateway has is names alone.
 */
export type GatewayMode = 'nat' | 'routed' | 'isolated';

export interface NetworkSettings {
  /** MTU of the containers' interfaces, in bytes. Undefined: whatever the underlay leaves. */
  readonly innerMtu: number | undefined;
  /** MTU of the underlay, in bytes, that the inner one is computed from. */
  readonly underlayMtu: number | undefined;
  /** Undefined: one is chosen. */
  readonly vni: number | undefined;
  /** Containers of the network reach each other. */
  readonly betweenContainers: boolean;
  /** Packets a second to groups and to everybody that a host sends to the other hosts of the network; undefined: none. */
  readonly multicastRate: number | undefined;
  /** What leaves the network has the host's address. */
  readonly masquerade: boolean;
  /** Of a family that the network does not have it says nothing, as long as it does not get a subnet of it. */
  readonly gatewayModes: Readonly<Record<Family, GatewayMode>>;
  /** What the name of a container's interface begins with; a number follows. */
  readonly interfacePrefix: string;
  /** Name servers that are asked what is not ours, as `dns/upstreams.ts` writes them; empty: the host's own. */
  readonly upstreams: readonly string[];
  /** Addresses stay with the names of the endpoints that had them. */
  readonly sticky: boolean;
  /** What goes from host to host is encrypted. */
  readonly encrypted: boolean;
}

const PREFIX = 'com.docker.network.';
/** Smallest inner MTU that carries IPv4 sensibly (RFC 791), largest that a 65,535-byte underlay leaves. */
const MTU_RANGE = [576, 65_485] as const;
/** 24 bits (RFC 7348). The members' own packets to each other have VNI 0 (`path/probe.ts`). */
const VNI_RANGE = [1, 16_777_215] as const;
/** Packets a second. At 50,000 of 1,500 bytes one other host takes 600 Mbit/s. */
const MULTICAST_RATE_RANGE = [1, 50_000] as const;

interface Option {
  /** The shortest first. */
  readonly spellings: readonly [string, ...string[]];
  /** The value in its one form; undefined when it is none. */
  readonly parse: (value: string) => string | undefined;
  /** What a value that is none is not. */
  readonly expects: string;
  /** What holds without the option, if there is such a value. */
  readonly usual?: string;
}

const KNOWN = {
  innerMtu: { spellings: ['mtu'], ...wholeNumber(MTU_RANGE) },
  underlayMtu: {
    spellings: ['com.docker.network.driver.mtu'],
    ...wholeNumber([MTU_RANGE[0] + LEAST_OVERHEAD_BYTES, MTU_RANGE[1] + LEAST_OVERHEAD_BYTES]),
  },
  vni: { spellings: ['vxlanid_list', 'com.docker.network.driver.overlay.vxlanid_list'], ...wholeNumber(VNI_RANGE) },
  betweenContainers: { spellings: ofBridge('enable_icc'), ...truth(), usual: 'true' },
  multicast: { spellings: ['multicast'], ...truth(), usual: 'false' },
  multicastRate: { spellings: ['multicast_rate'], ...wholeNumber(MULTICAST_RATE_RANGE), usual: '100' },
  masquerade: { spellings: ofBridge('enable_ip_masquerade'), ...truth(), usual: 'true' },
  gatewayMode4: { spellings: ofBridge('gateway_mode_ipv4'), ...oneOf('nat', 'routed', 'isolated'), usual: 'nat' },
  gatewayMode6: { spellings: ofBridge('gateway_mode_ipv6'), ...oneOf('nat', 'routed', 'isolated'), usual: 'nat' },
  interfacePrefix: {
    spellings: ['container_iface_prefix', 'com.docker.network.container_iface_prefix'],
    // Linux gives an interface 15 characters, of which the number takes up to three.
    parse: (value) => (/^[a-zA-Z][a-zA-Z0-9_-]{0,11}$/.test(value) ? value : undefined),
    expects: '1 to 12 letters, digits, "_" or "-" that begin with a letter',
    usual: 'eth',
  },
  upstreams: {
    spellings: ['dns'],
    parse: (value) => parseUpstreams(value)?.join(),
    expects: `a list of 1 to ${MOST_UPSTREAMS} different addresses, such as 192.0.2.53,[2001:db8::53]:5353`,
  },
  sticky: { spellings: ['sticky'], ...truth(), usual: 'false' },
  vip: { spellings: ['vip'], ...truth(), usual: 'false' },
  encrypted: { spellings: ['encrypted'], ...flag(), usual: 'false' },
} satisfies Record<string, Option>;

const OPTIONS: readonly Option[] = Object.values(KNOWN);
const BY_SPELLING = new Map(OPTIONS.flatMap((option) => option.spellings.map((each) => [each, option] as const)));

/** Docker's, by their last part: why not, and what to do. */
const REFUSED: Readonly<Record<string, string>> = {
  host_binding_ipv4:
    "Docker publishes ports by itself: name the address with the port (docker run -p 192.0.2.1:8080:80), or give Docker's own network docker_gwbridge the option",
  name: `a network's bridge is br0 in the namespace ovl-VNI of each host; \`overlayd network inspect\` shows the VNI`,
  inhibit_ipv4: 'a network without a way out is made with --internal; add -o gateway_mode_ipv4=isolated for no gateway',
  trusted_host_interfaces: 'nothing is opened from outside; publish ports (docker run -p) instead',
  host_ipv4: "what leaves has the address that the host's routes choose; -o gateway_mode_ipv4=routed leaves it alone",
  host_ipv6: "what leaves has the address that the host's routes choose; -o gateway_mode_ipv6=routed leaves it alone",
  enable_ipv6: 'it is a flag; write --ipv6',
  enable_ipv4: 'it is a flag; write --ipv4=false for a network without IPv4, which then needs --ipv6',
};
const FLAGS = ['attachable', 'aux-address', 'gateway', 'internal', 'ip-range', 'ipv4', 'ipv6', 'label', 'subnet'];

/** Every option with all of its spellings, and those that are refused: for messages and documentation. */
export const OPTION_SPELLINGS: readonly Option['spellings'][] = OPTIONS.map(({ spellings }) => spellings);
export const REFUSED_OPTIONS: readonly string[] = Object.keys(REFUSED);

/** Throws `unknown-option`, `invalid-argument`. */
export function checkOptions(options: Options, { internal }: Pick<NetworkRecord, 'internal'>): void {
  const given = new Map<Option, string>();
  for (const [spelling, value] of Object.entries(options)) {
    const option = BY_SPELLING.get(spelling);
    if (!option) throw unknownOption(spelling);
    if (option.parse(value) === undefined) {
      const shown = JSON.stringify(value.slice(0, 40));
      throw new OverlaydError('invalid-argument', `option ${spelling}: ${shown} is not ${option.expects}`);
    }
    const twin = given.get(option);
    if (twin !== undefined) {
      throw new OverlaydError('invalid-argument', `options ${twin} and ${spelling} are the same; give one of them`);
    }
    given.set(option, spelling);
  }
  const said = (option: Option) => given.get(option);
  if (said(KNOWN.innerMtu) && said(KNOWN.underlayMtu)) {
    throw new OverlaydError(
      'invalid-argument',
      `options ${said(KNOWN.innerMtu)} (of the container's interface) and ${said(KNOWN.underlayMtu)} (of the underlay) say the same thing twice; give one of them`,
    );
  }
  const { betweenContainers, gatewayModes, masquerade, multicastRate, upstreams } = networkSettings({ options });
  if (readOption(KNOWN.multicast, options) === 'true' && !betweenContainers) {
    throw new OverlaydError(
      'invalid-argument',
      `options ${said(KNOWN.multicast)} and ${said(KNOWN.betweenContainers)} contradict each other: containers that do not reach each other hear no multicast of each other; leave one of them out`,
    );
  }
  if (readOption(KNOWN.vip, options) === 'true' && !betweenContainers) {
    throw new OverlaydError(
      'invalid-argument',
      `options ${said(KNOWN.vip)} and ${said(KNOWN.betweenContainers)} contradict each other: containers that do not reach each other are reached by no service; leave one of them out`,
    );
  }
  if (said(KNOWN.multicastRate) && multicastRate === undefined) {
    throw new OverlaydError(
      'invalid-argument',
      `option ${said(KNOWN.multicastRate)} limits what -o multicast=true sends; add that, or leave the option out`,
    );
  }
  const dns = said(KNOWN.upstreams);
  if (dns !== undefined) {
    refuseUselessUpstreams(upstreams, dns);
    if (internal) {
      throw new OverlaydError(
        'invalid-argument',
        `option ${dns}: nothing that an internal network asks leaves it; leave the option out, or --internal`,
      );
    }
  }
  for (const [mode, option] of [
    [gatewayModes[4], said(KNOWN.gatewayMode4)],
    [gatewayModes[6], said(KNOWN.gatewayMode6)],
  ] as const) {
    if (mode === 'isolated' && !internal) {
      throw new OverlaydError(
        'invalid-argument',
        `option ${option}: gateway mode 'isolated' can only be used for an internal network; add --internal`,
      );
    }
    if (mode === 'routed' && masquerade && said(KNOWN.masquerade)) {
      throw new OverlaydError(
        'invalid-argument',
        `options ${option} and ${said(KNOWN.masquerade)} contradict each other: what is routed is not masqueraded; leave one of them out`,
      );
    }
  }
}

/** What the options of a network mean. Those of a newer release, which nobody here knows, mean nothing. */
export function networkSettings({ options }: Pick<NetworkRecord, 'options'>): NetworkSettings {
  const betweenContainers = readOption(KNOWN.betweenContainers, options) === 'true';
  const multicast = betweenContainers && readOption(KNOWN.multicast, options) === 'true';
  const number = (option: Option) => {
    const value = readOption(option, options);
    return value === undefined ? undefined : Number(value);
  };
  return {
    innerMtu: number(KNOWN.innerMtu),
    underlayMtu: number(KNOWN.underlayMtu),
    vni: number(KNOWN.vni),
    betweenContainers,
    multicastRate: multicast ? number(KNOWN.multicastRate) : undefined,
    masquerade: readOption(KNOWN.masquerade, options) === 'true',
    gatewayModes: {
      4: readOption(KNOWN.gatewayMode4, options) as GatewayMode,
      6: readOption(KNOWN.gatewayMode6, options) as GatewayMode,
    },
    interfacePrefix: readOption(KNOWN.interfacePrefix, options)!,
    upstreams: readOption(KNOWN.upstreams, options)?.split(',') ?? [],
    sticky: readOption(KNOWN.sticky, options) === 'true',
    encrypted: isEncrypted({ options }),
  };
}

/** Whether each alias has a service address by itself (`automatic-services.ts`). Asked often. */
export function hasServiceAddresses({ options }: Pick<NetworkRecord, 'options'>): boolean {
  return readOption(KNOWN.vip, options) === 'true' && networkSettings({ options }).betweenContainers;
}

/** A value that is none counts as well: nothing of such a network is to leave in clear. */
export function isEncrypted({ options }: Pick<NetworkRecord, 'options'>): boolean {
  const { parse, spellings } = KNOWN.encrypted;
  const said = spellings.find((each) => Object.hasOwn(options, each));
  return said !== undefined && parse(options[said]!) !== 'false';
}

/**
 * What is asked in a cluster that has a word on it: `default`: what says nothing is encrypted; `required`: so is everything. Throws
 * `invalid-argument`.
 */
export function withEncryption(options: Options, encryption: 'default' | 'required' | undefined): Options {
  if (encryption === undefined) return options;
  const said = KNOWN.encrypted.spellings.find((each) => Object.hasOwn(options, each));
  if (said === undefined) return { ...options, [KNOWN.encrypted.spellings[0]]: 'true' };
  if (encryption === 'default' || isEncrypted({ options })) return options;
  throw new OverlaydError(
    'invalid-argument',
    `option ${said}: this cluster was made with --encrypt=required, and has no networks that are not encrypted; leave the option out`,
  );
}

/** The first of `asked` that a network with the options `has` does not do, whatever spelling either uses. */
export function differingOption(asked: Options, has: Options): string | undefined {
  return Object.keys(asked).find((spelling) => {
    const option = BY_SPELLING.get(spelling);
    if (!option) return has[spelling] !== asked[spelling];
    return readOption(option, { [spelling]: asked[spelling]! }) !== readOption(option, has);
  });
}

/** A value that nobody here could have given, in a record that somebody else wrote, is none. */
function readOption({ spellings, parse, usual }: Option, options: Options): string | undefined {
  const spelling = spellings.find((each) => Object.hasOwn(options, each));
  return (spelling === undefined ? undefined : parse(options[spelling]!)) ?? usual;
}

function unknownOption(spelling: string): OverlaydError {
  const last = spelling.startsWith(PREFIX) ? spelling.slice(spelling.lastIndexOf('.') + 1) : spelling;
  const reason = Object.hasOwn(REFUSED, last) ? REFUSED[last] : undefined;
  if (reason !== undefined) {
    return new OverlaydError('unknown-option', `option ${spelling} is not supported: ${reason}`);
  }
  if (FLAGS.includes(spelling)) {
    return new OverlaydError('unknown-option', `unknown option "${spelling}": it is a flag; write --${spelling}`);
  }
  const guess = nearest(spelling, BY_SPELLING.keys());
  const known = OPTIONS.map(({ spellings }) => spellings[0]).join(', ');
  return new OverlaydError(
    'unknown-option',
    `unknown option "${spelling}"${guess ? `; did you mean "${guess}"?` : '.'} Known options: ${known}`,
  );
}

function ofBridge(name: string): [string, string] {
  return [name, `${PREFIX}bridge.${name}`];
}

type Kind = Pick<Option, 'parse' | 'expects'>;

function wholeNumber([least, most]: readonly [number, number]): Kind {
  const isOne = (value: string) => /^\d{1,9}$/.test(value) && Number(value) >= least && Number(value) <= most;
  return {
    parse: (value) => (isOne(value) ? String(Number(value)) : undefined),
    expects: `a whole number from ${least} to ${most}`,
  };
}

/** As Go reads them. */
function truth(): Kind {
  const parse = (value: string) => {
    if (/^(1|t|T|true|TRUE|True)$/.test(value)) return 'true';
    return /^(0|f|F|false|FALSE|False)$/.test(value) ? 'false' : undefined;
  };
  return { parse, expects: 'true or false' };
}

/** As Docker's command sends what has no value. */
function flag(): Kind {
  const { parse, expects } = truth();
  return { parse: (value) => (value === '' ? 'true' : parse(value)), expects };
}

function oneOf(...values: readonly string[]): Kind {
  return {
    parse: (value) => values.find((each) => each === value),
    expects: `${values.slice(0, -1).join(', ')} or ${values.at(-1)}`,
  };
}
