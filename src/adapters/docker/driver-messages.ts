/**
 * The JSON of libnetwork's remote driver protocol: requests to calls, answers to JSON. Fields that are not known are
 * let pass, newer engines have more; fields of another type than the protocol's are refused. Go writes `null` for an
 * empty list or map, and `""` for no text.
 */
import * as z from 'zod';
import type { PublishedPort } from '../../core/container.ts';
import type {
  CreateEndpointAnswer,
  CreateEndpointCall,
  CreateNetworkCall,
  DeleteNetworkCall,
  EndpointCall,
  ExternalConnectivityCall,
  JoinAnswer,
  JoinCall,
  NetworkPool,
  ReleaseAddressCall,
  ReleasePoolCall,
  RequestAddressAnswer,
  RequestAddressCall,
  RequestPoolAnswer,
  RequestPoolCall,
} from '../../core/engine/driver-calls.ts';

const PREFIX = 'com.docker.network.';
const GENERIC = `${PREFIX}generic`;
const INTERNAL = `${PREFIX}internal`;
const IPV4 = `${PREFIX}enable_ipv4`;
const GATEWAY = `${PREFIX}gateway`;
const PORT_MAP = `${PREFIX}portmap`;
const ENDPOINT_MAC = `${PREFIX}endpoint.macaddress`;
const ENDPOINT_NAME = `${PREFIX}endpoint.name`;
const DNS_SERVERS = `${PREFIX}endpoint.dnsservers`;
/** What the parts of an engine tell each other. */
const PRIVATE = `${PREFIX}driver.private.`;

const STATIC_ROUTE_VIA = 0;
const STATIC_ROUTE_ON_LINK = 1;

const text = z
  .string()
  .nullish()
  .transform((value) => value || undefined);
const id = z.string().min(1);
const map = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {});
const texts = z.array(z.string()).nullish();
const bindings = z.array(z.looseObject({ Proto: z.number().nullish(), Port: z.number().nullish() })).nullish();
/** Their numbers (IANA). */
const PROTOCOL_OF = new Map<number, PublishedPort['protocol']>([
  [6, 'tcp'],
  [17, 'udp'],
  [132, 'sctp'],
]);

function publishes(options: { readonly [PORT_MAP]?: readonly unknown[] | null | undefined } | null | undefined) {
  return (options?.[PORT_MAP]?.length ?? 0) > 0;
}

function portsOf(options: z.infer<typeof sandboxOptions>): PublishedPort[] {
  return (options?.[PORT_MAP] ?? []).flatMap(({ Proto, Port }) => {
    const protocol = PROTOCOL_OF.get(Proto ?? 0);
    return protocol && Port ? [{ protocol, port: Port }] : [];
  });
}

// ---------------------------------------------------------------- requests

const pools = z
  .array(z.object({ AddressSpace: text, Pool: z.string(), Gateway: text, AuxAddresses: map }))
  .nullish()
  .transform((list) =>
    (list ?? []).map(
      ({ AddressSpace = '', Pool, Gateway, AuxAddresses }): NetworkPool => ({
        addressSpace: AddressSpace,
        pool: Pool,
        gateway: Gateway,
        auxAddresses: AuxAddresses,
      }),
    ),
  );

export const createNetworkRequest = z
  .object({
    NetworkID: id,
    Options: z.object({ [GENERIC]: map, [INTERNAL]: z.boolean().nullish(), [IPV4]: z.boolean().nullish() }).nullish(),
    IPv4Data: pools,
    IPv6Data: pools,
  })
  .transform(
    ({ NetworkID, Options, IPv4Data, IPv6Data }): CreateNetworkCall => ({
      networkId: NetworkID,
      internal: Options?.[INTERNAL] ?? false,
      // Docker 28 and later say it.
      ipv4: Options?.[IPV4] ?? true,
      options: Options?.[GENERIC] ?? {},
      pools: IPv4Data,
      ipv6Pools: IPv6Data,
    }),
  );

export const deleteNetworkRequest = z
  .object({ NetworkID: id })
  .transform(({ NetworkID }): DeleteNetworkCall => ({ networkId: NetworkID }));

export const createEndpointRequest = z
  .object({
    NetworkID: id,
    EndpointID: id,
    Interface: z.object({ Address: text, AddressIPv6: text, MacAddress: text }).nullish(),
    Options: z.looseObject({ [PORT_MAP]: bindings, [DNS_SERVERS]: texts }).nullish(),
  })
  .transform(
    ({ NetworkID, EndpointID, Interface, Options }): CreateEndpointCall => ({
      networkId: NetworkID,
      endpointId: EndpointID,
      address: Interface?.Address,
      ipv6Address: Interface?.AddressIPv6,
      mac: Interface?.MacAddress,
      publishesPorts: publishes(Options),
      // Libnetwork tells them after the ports, and neither on an internal network.
      dnsServers: Options?.[DNS_SERVERS] ?? (Options?.[PORT_MAP] ? [] : undefined),
      options: driverOptions(Options ?? {}),
    }),
  );

/** The user's stand beside the engine's own, and are texts. */
function driverOptions(options: Readonly<Record<string, unknown>>): Record<string, string> {
  const own = Object.entries(options).filter(
    ([name, value]) => typeof value === 'string' && name !== ENDPOINT_MAC && !name.startsWith(PRIVATE),
  );
  return Object.fromEntries(own as [string, string][]);
}

const sandboxOptions = z.object({ [PORT_MAP]: bindings }).nullish();

export const joinRequest = z
  .object({ NetworkID: id, EndpointID: id, SandboxKey: z.string(), Options: sandboxOptions })
  .transform(
    ({ NetworkID, EndpointID, SandboxKey, Options }): JoinCall => ({
      networkId: NetworkID,
      endpointId: EndpointID,
      sandbox: SandboxKey,
      publishesPorts: publishes(Options),
      ports: portsOf(Options),
    }),
  );

export const endpointRequest = z
  .object({ NetworkID: id, EndpointID: id })
  .transform(({ NetworkID, EndpointID }): EndpointCall => ({ networkId: NetworkID, endpointId: EndpointID }));

export const externalConnectivityRequest = z
  .object({ NetworkID: id, EndpointID: id, Options: sandboxOptions })
  .transform(
    ({ NetworkID, EndpointID, Options }): ExternalConnectivityCall => ({
      networkId: NetworkID,
      endpointId: EndpointID,
      publishesPorts: publishes(Options),
    }),
  );

export const requestPoolRequest = z
  .object({ AddressSpace: text, Pool: text, SubPool: text, Options: map, V6: z.boolean().nullish() })
  .transform(
    ({ AddressSpace = '', Pool, SubPool, Options, V6 }): RequestPoolCall => ({
      addressSpace: AddressSpace,
      pool: Pool,
      subPool: SubPool,
      options: Options,
      ipv6: V6 ?? false,
    }),
  );

export const releasePoolRequest = z
  .object({ PoolID: id })
  .transform(({ PoolID }): ReleasePoolCall => ({ poolId: PoolID }));

export const requestAddressRequest = z.object({ PoolID: id, Address: text, Options: map }).transform(
  ({ PoolID, Address, Options }): RequestAddressCall => ({
    poolId: PoolID,
    address: Address,
    gateway: Options.RequestAddressType === GATEWAY,
    endpointName: Options[ENDPOINT_NAME] || undefined,
    mac: Options[ENDPOINT_MAC] || undefined,
  }),
);

export const releaseAddressRequest = z
  .object({ PoolID: id, Address: id })
  .transform(({ PoolID, Address }): ReleaseAddressCall => ({ poolId: PoolID, address: Address }));

// ---------------------------------------------------------------- answers

export function createEndpointResponse({ mac }: CreateEndpointAnswer): object {
  return { Interface: mac === undefined ? {} : { MacAddress: mac } };
}

export function joinResponse(answer: JoinAnswer): object {
  return {
    InterfaceName: { SrcName: answer.sourceName, DstPrefix: answer.destinationPrefix },
    Gateway: answer.gateway ?? '',
    GatewayIPv6: answer.ipv6Gateway ?? '',
    StaticRoutes: answer.staticRoutes.map(({ destination, nextHop }) => ({
      Destination: destination,
      RouteType: nextHop === undefined ? STATIC_ROUTE_ON_LINK : STATIC_ROUTE_VIA,
      NextHop: nextHop ?? '',
    })),
    DisableGatewayService: answer.disableGatewayService,
  };
}

export function requestPoolResponse({ poolId, pool, gateway }: RequestPoolAnswer): object {
  return { PoolID: poolId, Pool: pool, Data: gateway === undefined ? {} : { [GATEWAY]: gateway } };
}

export function requestAddressResponse({ address }: RequestAddressAnswer): object {
  return { Address: address, Data: {} };
}
