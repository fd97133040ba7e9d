/**
 * What a user gives one endpoint by `--driver-opt`. Those of our own `connect` are honoured here. An engine acts on some of
 * its containers' by itself, and on others not where the network has a driver of its own; what nobody acts on is refused.
 */
import { OverlaydError } from './errors.ts';
import { nearest } from './nearest.ts';
import type { Options } from './network-options.ts';

/** The interface's name: engines heed it for their own drivers alone. */
export const INTERFACE_NAME = 'com.docker.network.endpoint.ifname';
/** Kernel settings of the interface, `net.ipv4.conf.IFNAME.…=VALUE,…`: an engine's own work, from Docker 27 on. */
export const SYSCTLS = 'com.docker.network.endpoint.sysctls';
const SYSCTLS_ENGINE = 27;
const GW_PRIORITY_ENGINE = 28;
const KNOWN = [INTERFACE_NAME, SYSCTLS];
const SETTING = /^(net\.(?:ipv4|ipv6|mpls)\.(?:conf|neigh)\.IFNAME\.[a-z0-9_]+)=([^\s,]+)$/;

/**
 * Of the kernel: a key below `/proc/sys`, its parts separated by dots, or by `/`, since an interface's name may have dots.
 * `required`: a kernel without the key refuses it.
 */
export interface Setting {
  readonly key: string;
  readonly value: string;
  readonly required?: boolean;
}

/** The options of our own `connect`. Throws `unknown-option`, `invalid-argument`. */
export function checkEndpointOptions(options: Options): void {
  for (const [option, value] of Object.entries(options)) {
    if (!KNOWN.includes(option)) throw unknownOption(option);
    const wrong = option === SYSCTLS && value.split(',').find((each) => !SETTING.test(each));
    if (wrong !== false && wrong !== undefined) {
      throw new OverlaydError(
        'invalid-argument',
        `--driver-opt ${option}: "${wrong}" is not a setting of the interface; write it like net.ipv4.conf.IFNAME.log_martians=1, several with commas between them`,
      );
    }
  }
}

/** What the interface is to have, in the order given. */
export function interfaceSettings(options: Options | undefined, ifname: string): readonly Setting[] {
  return (options?.[SYSCTLS] ?? '').split(',').flatMap((each) => {
    const [, key = '', value = ''] = SETTING.exec(each) ?? [];
    return key === '' ? [] : [{ key: key.replaceAll('.', '/').replace('IFNAME', ifname), value, required: true }];
  });
}

/**
 * Why an engine's container cannot have these options; undefined when it can. `engineVersion`: e.g. `28.5.2`; undefined while
 * it is not known.
 */
export function refuseEndpointOptions(options: Options, engineVersion: string | undefined): string | undefined {
  for (const option of Object.keys(options)) {
    if (option === INTERFACE_NAME) {
      return `--driver-opt ${option}: Docker names the interfaces of containers by itself on networks of other drivers than its own; leave it out, or make the network with -o container_iface_prefix=`;
    }
    if (option !== SYSCTLS) return unknownOption(option).message;
    if (isOlder(engineVersion, SYSCTLS_ENGINE)) {
      return `--driver-opt ${option}: Docker ${engineVersion} does not set it; use Docker ${SYSCTLS_ENGINE} or newer, or docker run --sysctl`;
    }
  }
  return undefined;
}

/** The same of `--gw-priority`. */
export function refuseGatewayPriority(engineVersion: string | undefined): string | undefined {
  if (!isOlder(engineVersion, GW_PRIORITY_ENGINE)) return undefined;
  return `--gw-priority: Docker ${engineVersion} chooses the way out by itself, by the networks' names; use Docker ${GW_PRIORITY_ENGINE} or newer, or leave it out`;
}

function isOlder(version: string | undefined, major: number): boolean {
  return version !== undefined && Number.parseInt(version, 10) < major;
}

function unknownOption(option: string): OverlaydError {
  const guess = nearest(option, KNOWN);
  return new OverlaydError(
    'unknown-option',
    `unknown --driver-opt "${option}"${guess ? `; did you mean "${guess}"?` : '.'} Known options: ${KNOWN.join(', ')}`,
  );
}
