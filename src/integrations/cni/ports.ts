/** The capability `portMappings`: ports of the host, for the container of this call. Source: CNI CONVENTIONS.md. */
import { PROTOCOLS } from '../../core/container.ts';
import { formatIp, parseIp } from '../../core/ip.ts';
import { formatHostEnd, isSameHostEnd, type PortMapping, refuseTooMany } from '../../core/publish.ts';
import { type Fields, listOf, textOf } from './fields.ts';
import { CNI, cniError } from './problem.ts';

const FIELDS = ['hostPort', 'containerPort', 'protocol', 'hostIP'];

/** In the order they are asked for. Throws what cannot be a port, a port of the host that is asked for twice, and too many. */
export function portsOf(runtime: Fields): readonly PortMapping[] {
  const found: PortMapping[] = [];
  const asked = listOf(runtime, 'portMappings', 'runtimeConfig.');
  refuseTooMany(asked.length);
  for (const [nth, each] of asked.entries()) {
    const mapping = mappingOf(each, `portMappings[${nth}]`);
    const other = found.find((earlier) => isSameHostEnd(earlier, mapping));
    if (other) {
      throw cniError(
        CNI.config,
        `portMappings: ${formatHostEnd(mapping)} of this host is there twice, for ports ${other.port} and ${mapping.port}`,
      );
    }
    found.push(mapping);
  }
  return found;
}

function mappingOf(given: Fields, where: string): PortMapping {
  const { hostPort, containerPort, protocol = 'tcp', hostIP = '' } = spelt(given);
  const known = PROTOCOLS.find((each) => each === String(protocol).toLowerCase());
  if (!known) throw cniError(CNI.config, `${where}: the protocol is ${PROTOCOLS.join(', ')}, not ${String(protocol)}`);
  const address = textOf({ hostIP }, 'hostIP', `${where}.`);
  const ip = parseIp(address ?? '');
  if (address !== undefined && !ip) throw cniError(CNI.config, `${where}: hostIP ${address} is no address`);
  // As Docker takes it: all addresses.
  const isAny = ip?.value === 0n;
  return {
    ...{ protocol: known, hostPort: portOf(hostPort, `${where}.hostPort`) },
    ...(ip && !isAny && { hostAddress: formatIp(ip) }),
    port: portOf(containerPort, `${where}.containerPort`),
  };
}

/** containerd writes `HostPort`. */
function spelt(given: Fields): Fields {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => [
      FIELDS.find((each) => each.toLowerCase() === name.toLowerCase()) ?? name,
      value ?? undefined,
    ]),
  );
}

function portOf(value: unknown, where: string): number {
  if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535) return value as number;
  throw cniError(CNI.config, `${where} has to be a port, from 1 to 65535`);
}
