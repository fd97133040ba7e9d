/** What a host will be as a node: `init` and `join` take the same options, checked here before anything happens. */
import { OverlaydError } from '../../core/errors.ts';
import type { HostAddress } from '../../core/host-facts.ts';
import { ALL_ADDRESSES, type Family, familyOf, formatIp, parseIp } from '../../core/ip.ts';
import { checkLabels, type Labels } from '../../core/labels.ts';
import { checkNodeName } from '../../core/names.ts';
import type { HostFacts } from '../../ports/host.ts';
import { lookAround, type Surroundings } from '../host/surroundings.ts';
import { chooseAddress } from './node-address.ts';

/** As typed; empty text and 0 stand for the default. */
export interface NodeOptions {
  readonly advertiseAddr: string;
  readonly dataPathAddr: string;
  readonly dataPathPort: number;
  readonly joinPort: number;
  readonly gossipPort: number;
  readonly wireguardPort: number;
  readonly listenAddr: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface DefaultPorts {
  readonly joinPort: number;
  readonly gossipPort: number;
  readonly dataPathPort: number;
  readonly wireguardPort: number;
}

export interface NodeSettings extends Surroundings {
  readonly name: string;
  readonly advertiseAddress: string;
  readonly listenAddress: string;
  readonly joinPort: number;
  readonly gossipPort: number;
  readonly vtep: string;
  readonly dataPathPort: number;
  /** The next one is WireGuard's too. */
  readonly wireguardPort: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly underlayMtu: number;
}

/** `storeEndpoints`: URLs of etcd, where they are known already. `prefer`: of a host that has addresses of both families. */
export async function resolveSettings(
  facts: HostFacts,
  options: NodeOptions,
  defaults: DefaultPorts,
  storeEndpoints: readonly string[],
  prefer: Family = 4,
): Promise<NodeSettings> {
  const name = checkNodeName(options.name || facts.hostname());
  const joinPort = checkPort(options.joinPort || defaults.joinPort, '--join-port');
  const gossipPort = checkPort(options.gossipPort || defaults.gossipPort, '--gossip-port');
  const dataPathPort = checkPort(options.dataPathPort || defaults.dataPathPort, '--data-path-port');
  if (joinPort === gossipPort) {
    throw new OverlaydError('invalid-argument', `--join-port and --gossip-port are both ${joinPort}; they must differ`);
  }
  const wireguardPort = checkWireguardPort(options.wireguardPort || defaults.wireguardPort, dataPathPort);
  const addresses = await facts.addresses();
  const advertiseAddress = chooseAddress(addresses, options.advertiseAddr, { flag: '--advertise-addr', prefer });
  const vtep = options.dataPathAddr
    ? chooseAddress(addresses, options.dataPathAddr, { flag: '--data-path-addr', prefer: familyOf(advertiseAddress)! })
    : advertiseAddress;
  const listenAddress = chooseListenAddress(addresses, options.listenAddr, advertiseAddress);
  return {
    name,
    advertiseAddress,
    listenAddress,
    joinPort,
    gossipPort,
    vtep,
    dataPathPort,
    wireguardPort,
    labels: checkLabels(options.labels, 'node'),
    underlayMtu: (await facts.underlay(vtep, [])).mtuBytes,
    ...(await lookAround(facts, storeEndpoints)),
  };
}

function checkWireguardPort(port: number, dataPathPort: number): number {
  const [first, next] = [checkPort(port, '--wireguard-port'), port + 1];
  if (next > 65_535) {
    throw new OverlaydError(
      'invalid-argument',
      `--wireguard-port: WireGuard has the next port too; ports end at 65535`,
    );
  }
  if (dataPathPort !== first && dataPathPort !== next) return port;
  throw new OverlaydError(
    'invalid-argument',
    `--wireguard-port ${port} is for ${first} and ${next}, and --data-path-port is ${dataPathPort}; they must differ`,
  );
}

/** All addresses by default: a host that gets its address late, or another one, is to answer there as well. */
function chooseListenAddress(addresses: readonly HostAddress[], requested: string, advertised: string): string {
  const family = familyOf(advertised)!;
  if (requested === '') return ALL_ADDRESSES[family];
  const ip = parseIp(requested);
  // Whether it can be listened on is tried with the ports.
  const address = ip ? formatIp(ip) : chooseAddress(addresses, requested, { flag: '--listen-addr', prefer: family });
  if (familyOf(address) === family || address === ALL_ADDRESSES[6]) return address;
  throw new OverlaydError(
    'invalid-address',
    `--listen-addr: at ${address} nobody hears this host who calls it at ${advertised}; give an IPv${family} address, or ${ALL_ADDRESSES[family]} for all`,
  );
}

/** Of a host that asks to join. Throws `invalid-name`, `invalid-argument`. */
export function checkNameAndLabels(name: string, labels: Labels): void {
  checkNodeName(name);
  checkLabels(labels, 'node');
}

export function checkPort(port: number, what: string): number {
  if (Number.isInteger(port) && port >= 1 && port <= 65535) return port;
  throw new OverlaydError('invalid-argument', `${what}: ${port} is not a port; ports are 1 to 65535`);
}
