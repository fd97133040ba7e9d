/** The Docker Engine's JSON, as much of it as matters here; more fields are let pass. Go writes `null` for empty ones. */
import * as z from 'zod';
import { containerPorts } from '../../core/endpoint-ports.ts';
import type {
  EngineContainer,
  EngineEvent,
  EngineNetwork,
  EngineNetworkMembers,
  EngineNetworkSpec,
} from '../../core/engine/engine.ts';
import { hasFamily } from '../../core/subnets.ts';

const texts = z
  .array(z.string())
  .nullish()
  .transform((value) => value ?? []);
const map = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {});

export interface EngineVersion {
  /** e.g. `20.10.24`. */
  readonly engine: string;
  /** The newest API that it speaks, e.g. `1.41`. */
  readonly api: string;
  readonly oldestApi: string;
}

export const versionResponse = z
  .object({ Version: z.string(), ApiVersion: z.string(), MinAPIVersion: z.string().nullish() })
  .transform(
    ({ Version, ApiVersion, MinAPIVersion }): EngineVersion => ({
      engine: Version,
      api: ApiVersion,
      oldestApi: MinAPIVersion || ApiVersion,
    }),
  );

export const networksResponse = z.array(
  z
    .object({
      Id: z.string(),
      Name: z.string(),
      Driver: z.string(),
      Labels: map,
      Options: map,
      IPAM: z
        .object({
          Driver: z.string().nullish(),
          Options: map,
          Config: z.array(z.object({ Subnet: z.string().nullish() })).nullish(),
        })
        .nullish(),
    })
    .transform(
      ({ Id, Name, Driver, Labels, Options, IPAM }): EngineNetwork => ({
        id: Id,
        name: Name,
        driver: Driver,
        labels: Labels,
        options: Options,
        ipamDriver: IPAM?.Driver ?? '',
        ipamOptions: IPAM?.Options ?? {},
        subnets: (IPAM?.Config ?? []).flatMap(({ Subnet }) => Subnet || []),
      }),
    ),
);

export const infoResponse = z.object({ DockerRootDir: z.string() }).transform(({ DockerRootDir }) => DockerRootDir);

export const createdResponse = z.object({ Id: z.string().min(1) });

export const containersResponse = z.array(z.object({ Id: z.string() }).transform(({ Id }) => Id));

export const membersResponse = z
  .object({
    Name: z.string(),
    Containers: z.record(z.string(), z.object({ Name: z.string(), EndpointID: z.string() })).nullish(),
  })
  .transform(
    ({ Name, Containers }): EngineNetworkMembers => ({
      name: Name,
      members: Object.entries(Containers ?? {}).map(([containerId, found]) => ({
        containerId,
        containerName: found.Name,
        endpointId: found.EndpointID,
      })),
    }),
  );

const attachment = z.object({
  NetworkID: z.string().nullish(),
  EndpointID: z.string().nullish(),
  IPAddress: z.string().nullish(),
  GlobalIPv6Address: z.string().nullish(),
  Aliases: texts,
  DNSNames: texts,
  Gateway: z.string().nullish(),
  IPv6Gateway: z.string().nullish(),
  IPAMConfig: z.object({ IPv4Address: z.string().nullish(), IPv6Address: z.string().nullish() }).nullish(),
  GwPriority: z.number().nullish(),
  DriverOpts: z.record(z.string(), z.string()).nullish(),
  Links: texts,
});

/** How the engine writes the time of what has not happened yet. */
const NEVER = '0001-01-01T';

export const containerResponse = z
  .object({
    Id: z.string(),
    Name: z.string(),
    State: z.object({
      Pid: z.number(),
      Error: z.string().nullish(),
      StartedAt: z.string().nullish(),
      Health: z.object({ Status: z.string().nullish() }).nullish(),
    }),
    Config: z.object({
      Hostname: z.string().nullish(),
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
      Labels: map,
    }),
    HostConfig: z
      .object({ RestartPolicy: z.object({ Name: z.string().nullish() }).nullish(), Links: texts, Dns: texts })
      .nullish(),
    NetworkSettings: z.object({ Networks: z.record(z.string(), attachment.nullable()).nullish() }).nullish(),
  })
  .transform(
    ({ Id, Name, State, Config, HostConfig, NetworkSettings }): EngineContainer => ({
      id: Id,
      name: Name.replace(/^\//, ''),
      pid: State.Pid,
      restarts: !['', 'no'].includes(HostConfig?.RestartPolicy?.Name ?? ''),
      ran: !(State.StartedAt ?? NEVER).startsWith(NEVER),
      failure: State.Error ?? '',
      hostname: Config.Hostname ?? '',
      ...(State.Health?.Status === 'unhealthy' && { unhealthy: true }),
      ports: containerPorts(Object.keys(Config.ExposedPorts ?? {}), Config.Labels),
      ...(hasLinks([HostConfig, ...Object.values(NetworkSettings?.Networks ?? {})]) && { linked: true }),
      ...(HostConfig?.Dns.length && { nameServers: HostConfig.Dns }),
      networks: Object.entries(NetworkSettings?.Networks ?? {}).flatMap(([network, found]) =>
        found === null
          ? []
          : [
              {
                network,
                networkId: found.NetworkID ?? '',
                endpointId: found.EndpointID ?? '',
                addresses: [found.IPAddress, found.GlobalIPv6Address].flatMap((address) => address || []),
                ip: found.IPAMConfig?.IPv4Address || undefined,
                ip6: found.IPAMConfig?.IPv6Address || undefined,
                ...(found.GwPriority ? { gwPriority: found.GwPriority } : {}),
                ...(found.DriverOpts ? { options: found.DriverOpts } : {}),
                gateway: found.Gateway || found.IPv6Gateway || undefined,
                // Up to Docker 24 all are in the first; from 25 on the first has the user's only, the second all.
                aliases: [...new Set([...found.Aliases, ...found.DNSNames])],
              },
            ],
      ),
    }),
  );

function hasLinks(all: readonly ({ readonly Links: readonly string[] } | null | undefined)[]): boolean {
  return all.some((each) => each && each.Links.length > 0);
}

/** Body of `POST /networks/create`. */
export function createNetworkBody(spec: EngineNetworkSpec): object {
  return {
    Name: spec.name,
    // Needed up to Docker 24: without it an engine makes a second network of the same name.
    CheckDuplicate: true,
    Driver: spec.driver,
    Internal: spec.internal,
    // Docker 28 and later heed it.
    ...(hasFamily(spec, 4) ? {} : { EnableIPv4: false }),
    EnableIPv6: hasFamily(spec, 6),
    Labels: spec.labels,
    Options: spec.options,
    IPAM: {
      Driver: spec.driver,
      Options: spec.ipamOptions,
      Config: spec.subnets.map(({ cidr, gateway, ipRange, auxAddresses }) => ({
        Subnet: cidr,
        Gateway: gateway,
        ...(ipRange === undefined ? {} : { IPRange: ipRange }),
        AuxiliaryAddresses: auxAddresses,
      })),
    },
  };
}

// ---------------------------------------------------------------- events

const NETWORK_ACTIONS = ['create', 'destroy'] as const;
const LINK_ACTIONS = ['connect', 'disconnect'] as const;
const CONTAINER_ACTIONS = ['create', 'start', 'rename', 'die', 'destroy'] as const;

/** `health_status: unhealthy`, `health_status: healthy`; an engine that is asked for this compares beginnings. */
const HEALTH_ACTION = 'health_status';

/** What the engine is asked to tell; it knows no filter by type and action together. */
export const EVENT_FILTERS = {
  type: ['network', 'container'],
  event: [...NETWORK_ACTIONS, ...LINK_ACTIONS, ...CONTAINER_ACTIONS, HEALTH_ACTION].filter(
    (name, at, all) => all.indexOf(name) === at,
  ),
};

/** Ends of networks alone. */
export const REMOVAL_FILTERS = { type: ['network'], event: ['destroy'] };

const message = z.object({
  Type: z.string(),
  Action: z.string(),
  Actor: z.object({ ID: z.string(), Attributes: z.object({ container: z.string().optional() }).nullish() }),
});

/** Undefined for what is of no concern. */
export function parseEvent(json: unknown): EngineEvent | undefined {
  const parsed = message.safeParse(json);
  if (!parsed.success) return undefined;
  const { Type, Action, Actor } = parsed.data;
  if (Type === 'container') {
    if (Action.startsWith(`${HEALTH_ACTION}:`)) return { kind: 'container', action: 'health', id: Actor.ID };
    const action = CONTAINER_ACTIONS.find((name) => name === Action);
    return action && { kind: 'container', action, id: Actor.ID };
  }
  if (Type !== 'network') return undefined;
  const link = LINK_ACTIONS.find((name) => name === Action);
  const container = Actor.Attributes?.container;
  if (link !== undefined)
    return container === undefined
      ? undefined
      : { kind: 'container', action: link, id: container, networkId: Actor.ID };
  const action = NETWORK_ACTIONS.find((name) => name === Action);
  return action && { kind: 'network', action, id: Actor.ID };
}

/** The id of a network of whose end the event tells. */
export function parseRemoval(json: unknown): string | undefined {
  const event = parseEvent(json);
  return event?.kind === 'network' && event.action === 'destroy' ? event.id : undefined;
}
