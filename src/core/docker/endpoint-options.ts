/**
 * What a user gives a container's endpoint by `--driver-opt`. Engines act on some of these themselves, and on others not
 * where the network has a driver of its own; what nobody acts on is refused.
 */

/** Kernel settings of the interface, `net.ipv4.conf.IFNAME.…`: the engine's own work, from Docker 27 on. */
const SYSCTLS = 'com.docker.network.endpoint.sysctls';
const SYSCTLS_ENGINE = 27;
/** The interface's name: engines heed it for their own drivers alone. */
const INTERFACE_NAME = 'com.docker.network.endpoint.ifname';

/**
 * Why these options cannot be had; undefined when they can. `engineVersion`: e.g. `28.5.2`; undefined while it is not
 * known.
 */
export function refuseEndpointOptions(
  options: Readonly<Record<string, string>>,
  engineVersion: string | undefined,
): string | undefined {
  for (const option of Object.keys(options)) {
    if (option === INTERFACE_NAME) {
      return `--driver-opt ${option}: Docker names the interfaces of containers by itself on networks of other drivers than its own; leave it out`;
    }
    if (option !== SYSCTLS) return `unknown --driver-opt "${option}"; overlayd has none for a container`;
    if (engineVersion !== undefined && Number.parseInt(engineVersion, 10) < SYSCTLS_ENGINE) {
      return `--driver-opt ${option}: Docker ${engineVersion} does not set it; use Docker ${SYSCTLS_ENGINE} or newer, or docker run --sysctl`;
    }
  }
  return undefined;
}
