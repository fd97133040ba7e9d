/** Ports that Podman asks for with a container (`-p`), of which it writes a range as one. Pure. */
import { PROTOCOLS } from '../container.ts';
import { OverlaydError } from '../errors.ts';
import { formatIp, parseIp } from '../ip.ts';
import { type PortMapping, refuseTooMany } from '../publish.ts';
import type { PortMapping as AskedMapping } from './plugin-calls.ts';

const LAST_PORT = 65_535;

/** Throws `invalid-argument`. */
export function publishedBy(ports: readonly AskedMapping[]): PortMapping[] {
  refuseTooMany(ports.reduce((sum, { range }) => sum + range, 0));
  return ports.flatMap(({ hostIp, hostPort, containerPort, protocol, range }) => {
    const known = PROTOCOLS.find((each) => each === protocol);
    if (!known) throw refuse(`the protocol is ${PROTOCOLS.join(', ')}, not ${protocol}`);
    if (![hostPort, containerPort].every((first) => first >= 1 && first + range - 1 <= LAST_PORT))
      throw refuse(
        `ports are 1 to ${LAST_PORT}, and not all from ${hostPort} and ${containerPort} on, ${range} of each`,
      );
    const ip = parseIp(hostIp);
    const host = ip && ip.value !== 0n ? { hostAddress: formatIp(ip) } : {};
    return Array.from({ length: range }, (_, nth) => ({
      ...{ protocol: known, ...host },
      ...{ hostPort: hostPort + nth, port: containerPort + nth },
    }));
  });
}

function refuse(why: string): OverlaydError {
  return new OverlaydError('invalid-argument', `-p: ${why}`);
}
