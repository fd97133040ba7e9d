/**
 * The way from a container to the service address, one for each of its endpoints. An engine takes no destination twice,
 * so each endpoint has a block of its own size around the address: the smallest decides, and when its endpoint goes, the
 * next one does. Endpoints for which no block is left have routes that differ by metric, which no engine makes: we do.
 */
import { canonical, formatCidr } from '../cidr.ts';
import type { EngineAttachment, PublishedPort } from '../container.ts';
import { ROUTE_PROTOCOL, type Route, SERVICE_ADDRESS } from '../host-state.ts';
import { requireIp } from '../ip.ts';

/** Nothing but the service address may be near: other link-local addresses are somebody else's. */
const LARGEST_BLOCK = 24;

/** CIDR. `taken`: those of the container's other endpoints. Undefined when there are enough. */
export function serviceRoute(taken: ReadonlySet<string | undefined>): string | undefined {
  const ip = requireIp(SERVICE_ADDRESS, 'service address');
  for (let prefix = 32; prefix >= LARGEST_BLOCK; prefix--) {
    const route = formatCidr(canonical({ ip, prefix }));
    if (!taken.has(route)) return route;
  }
  return undefined;
}

/** Of an endpoint: one or the other. */
export type ServiceWay = Pick<EngineAttachment, 'serviceRoute' | 'serviceMetric'>;

/** For an endpoint that joins. `others`: the container's. */
export function chooseServiceWay(others: readonly (ServiceWay | undefined)[]): ServiceWay {
  const route = serviceRoute(new Set(others.map((each) => each?.serviceRoute)));
  if (route !== undefined) return { serviceRoute: route };
  const taken = new Set(others.map((each) => each?.serviceMetric));
  let metric = 1;
  while (taken.has(metric)) metric += 1;
  return { serviceMetric: metric };
}

/** What an engine tells of the container that an endpoint is for. */
export interface JoiningContainer {
  readonly sandbox: string;
  /** To be open at its own address. */
  readonly ports: readonly PublishedPort[];
}

/**
 * Of an endpoint whose container joins; one that joins again keeps its way. `others`: the container's; undefined: the endpoint
 * has no IPv4, and whoever asks the service address goes another way.
 */
export function joiningAttachment(
  before: EngineAttachment,
  { sandbox, ports }: JoiningContainer,
  others: readonly { readonly engine?: EngineAttachment | undefined }[] | undefined,
): EngineAttachment {
  const again = before.sandbox === sandbox && (before.serviceRoute ?? before.serviceMetric) !== undefined;
  const { serviceRoute: _, serviceMetric: __, ports: ___, ...rest } = before;
  const chosen = () => (others ? chooseServiceWay(others.map(({ engine }) => engine)) : ({} satisfies ServiceWay));
  const { serviceRoute, serviceMetric }: ServiceWay = again ? before : chosen();
  return {
    ...rest,
    ...(serviceRoute !== undefined && { serviceRoute }),
    ...(serviceMetric !== undefined && { serviceMetric }),
    sandbox,
    ...(ports.length > 0 && { ports }),
  };
}

/** As it is in the container. */
export function serviceWay({ serviceRoute, serviceMetric }: EngineAttachment, link: string): Route {
  const destination = serviceRoute ?? `${SERVICE_ADDRESS}/32`;
  const metric = serviceMetric === undefined ? {} : { metric: serviceMetric };
  return { destination, gateway: undefined, link, protocol: ROUTE_PROTOCOL, ...metric };
}
