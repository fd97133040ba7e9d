/** How a container is to be on a network: as a person says it to `connect`, and as the configuration of an instance says it. */
import { checkMac } from './endpoint-mac.ts';
import { checkEndpointOptions, INTERFACE_NAME } from './endpoint-options.ts';
import { declarations } from './endpoint-ports.ts';
import { OverlaydError } from './errors.ts';
import { checkDnsName, checkEndpointName, checkInterfaceName } from './names.ts';
import type { Options } from './network-options.ts';
import type { EndpointRecord } from './records.ts';

export interface ConnectOptions {
  /** Undefined: the container's own. */
  readonly name?: string | undefined;
  readonly aliases: readonly string[];
  readonly ip?: string | undefined;
  readonly ip6?: string | undefined;
  readonly mac?: string | undefined;
  readonly ifname?: string | undefined;
  readonly gwPriority?: number | undefined;
  /** As `--port` is written. */
  readonly ports?: readonly string[] | undefined;
}

export interface CheckedConnect extends Pick<EndpointRecord, 'ports' | 'labels'> {
  readonly mac: string | undefined;
  readonly ifname: string | undefined;
  readonly options: Options;
}

/**
 * What can be said of it without the cluster and the container. `hasDots`: names may have some, as those of container tools. Throws
 * `invalid-argument`, `invalid-name`, `unknown-option`.
 */
export function checkConnect(
  request: Pick<ConnectOptions, 'name' | 'aliases' | 'mac' | 'ifname' | 'ports'> & {
    readonly options?: Options | undefined;
    readonly labels?: Readonly<Record<string, string>> | undefined;
  },
  { hasDots = false }: { readonly hasDots?: boolean } = {},
): CheckedConnect {
  const mac = request.mac === undefined ? undefined : checkMac(request.mac);
  const { options = {} } = request;
  checkEndpointOptions(options);
  const ifname = request.ifname ?? options[INTERFACE_NAME];
  if (ifname !== undefined) checkInterfaceName(ifname, request.ifname === undefined ? INTERFACE_NAME : '--ifname');
  if (options[INTERFACE_NAME] !== undefined && options[INTERFACE_NAME] !== ifname) {
    throw new OverlaydError(
      'invalid-argument',
      `--ifname ${ifname} and --driver-opt ${INTERFACE_NAME}=${options[INTERFACE_NAME]} contradict each other; give one of them`,
    );
  }
  const checkName = hasDots ? checkDnsName : checkEndpointName;
  if (request.name !== undefined) checkName(request.name, '--name');
  for (const alias of request.aliases) checkName(alias, '--alias');
  return { mac, ifname, options, ...declarations(request.ports ?? [], request.labels ?? {}) };
}
