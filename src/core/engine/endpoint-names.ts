/**
 * What a container's endpoints go by: its name first, then what its user or its engine calls it besides. An engine
 * takes names that are none in the DNS; those are left out.
 */
import { samePorts } from '../endpoint-ports.ts';
import { isDnsName } from '../names.ts';
import type { EndpointRecord } from '../records.ts';
import type { EngineContainer } from './engine.ts';

const SHORT_ID = 12;
/** An endpoint's record has to stay small: it is gossiped and watched by every member. */
const MOST_ALIASES = 32;

export interface EndpointNames {
  readonly name: string;
  readonly aliases: readonly string[];
}

/** `aliases` are those that the container has on the endpoint's network. */
export function endpointNames(
  container: Pick<EngineContainer, 'id' | 'name' | 'hostname'>,
  aliases: readonly string[],
): EndpointNames {
  const shortId = container.id.slice(0, SHORT_ID);
  const all = [container.name, ...aliases, container.hostname, shortId].filter(isEndpointName);
  const lower = all.map((each) => each.toLowerCase());
  const [name = shortId, ...others] = all.filter((_, at) => lower.indexOf(lower[at]!) === at);
  return { name, aliases: others.slice(0, MOST_ALIASES) };
}

export function isNamed(endpoint: EndpointNames, { name, aliases }: EndpointNames): boolean {
  return endpoint.name === name && endpoint.aliases.join() === aliases.join();
}

/** What the record says otherwise than its container. Undefined: nothing. */
export function differing(
  record: EndpointRecord,
  { ports, unhealthy }: Pick<EngineContainer, 'ports' | 'unhealthy'>,
  names: EndpointNames,
) {
  const isPort = samePorts(record.ports, ports);
  const health = unhealthy ? 'unhealthy' : undefined;
  if (isNamed(record, names) && isPort && record.health === health) return undefined;
  return { ...names, ...(isPort ? {} : { ports }), health } as const;
}

/** Whether an endpoint can go by it. */
export function isEndpointName(text: string): boolean {
  return isDnsName(text) && text.toLowerCase() !== 'localhost';
}
