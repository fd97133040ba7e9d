/** What the state file has of endpoints and of published ports: each function returns the value, or throws with what is wrong. */
import type { Owner } from '../core/attachment.ts';
import { type EngineAttachment, type LocalEndpoint, PROTOCOLS, type PublishedPort } from '../core/container.ts';
import type { PortMapping, Publication } from '../core/publish.ts';
import { decodeEndpoint } from '../core/record-codec.ts';

export function parseEndpoints(
  values: readonly unknown[],
  list: string,
  recordOf: (record: unknown) => unknown,
): LocalEndpoint[] {
  return values.map((item, i) => {
    const what = `${list}[${i}]`;
    const { record, container, ifname, engine, gwPriority, options, owner, published } = objectOf(item, what);
    const { text, path, identity } = objectOf(container, `${what}.container`);
    const decoded = decodeEndpoint(JSON.stringify(recordOf(record)) ?? '');
    if (decoded === undefined) throw new Error(`${what}.record is not an endpoint`);
    return {
      record: decoded,
      container: {
        text: textOf(text, `${what}.container.text`),
        path: textOf(path, `${what}.container.path`),
        identity: textOf(identity, `${what}.container.identity`),
      },
      ifname: textOf(ifname, `${what}.ifname`),
      ...(typeof gwPriority === 'number' ? { gwPriority } : {}),
      ...(options === undefined ? {} : { options: textsOf(options, `${what}.options`) }),
      ...(engine === undefined ? {} : { engine: parseEngine(engine, `${what}.engine`) }),
      ...(owner === undefined ? {} : { owner: parseOwner(owner, `${what}.owner`) }),
      ...(published === undefined
        ? {}
        : { published: listOf(published, `${what}.published`).map((each) => parseMapping(each, `${what}.published`)) }),
    };
  });
}

export function parsePublication(value: unknown, i: number): Publication {
  const what = `publications[${i}]`;
  const { networkId, name } = objectOf(value, what);
  return {
    ...parseMapping(value, what),
    networkId: textOf(networkId, `${what}.networkId`),
    name: textOf(name, `${what}.name`),
  };
}

function parseMapping(value: unknown, what: string): PortMapping {
  const { protocol, port, hostAddress, hostPort } = objectOf(value, what);
  const known = PROTOCOLS.find((each) => each === protocol);
  if (!known || typeof port !== 'number' || typeof hostPort !== 'number') throw new Error(`${what} is no port mapping`);
  return {
    ...{ protocol: known, port, hostPort },
    ...(hostAddress === undefined ? {} : { hostAddress: textOf(hostAddress, `${what}.hostAddress`) }),
  };
}

function parseOwner(value: unknown, what: string): Owner {
  const { tool, key, container, names } = objectOf(value, what);
  return {
    tool: textOf(tool, `${what}.tool`),
    key: textOf(key, `${what}.key`),
    ...(container === undefined ? {} : { container: textOf(container, `${what}.container`) }),
    names: names === 'told' ? 'told' : 'file',
  };
}

function parseEngine(value: unknown, what: string): EngineAttachment {
  const { endpointId, networkId, sandbox, containerId, serviceRoute, serviceMetric, wayOut, ports, ...rest } = objectOf(
    value,
    what,
  );
  return {
    endpointId: textOf(endpointId, `${what}.endpointId`),
    networkId: textOf(networkId, `${what}.networkId`),
    ...(sandbox === undefined ? {} : { sandbox: textOf(sandbox, `${what}.sandbox`) }),
    ...(containerId === undefined ? {} : { containerId: textOf(containerId, `${what}.containerId`) }),
    ...(serviceRoute === undefined ? {} : { serviceRoute: textOf(serviceRoute, `${what}.serviceRoute`) }),
    ...(typeof serviceMetric === 'number' ? { serviceMetric } : {}),
    ...(typeof wayOut === 'boolean' ? { wayOut } : {}),
    ...(rest.otherServers === true ? { otherServers: true } : {}),
    ...(typeof rest.engineKnows === 'boolean' ? { engineKnows: rest.engineKnows } : {}),
    ...(ports === undefined ? {} : { ports: listOf(ports, `${what}.ports`).map((each) => parsePort(each, what)) }),
  };
}

function parsePort(value: unknown, what: string): PublishedPort {
  const { protocol, port } = objectOf(value, `a port of ${what}`);
  const known = PROTOCOLS.find((each) => each === protocol);
  if (known && typeof port === 'number') return { protocol: known, port };
  throw new Error(`a port of ${what} is not one`);
}

export function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Error(`${what} is not an object`);
}

export function listOf(value: unknown, what: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw new Error(`${what} is not a list`);
}

function textsOf(value: unknown, what: string): Record<string, string> {
  const texts = Object.entries(objectOf(value, what)).map(([key, each]) => [key, textOf(each, `${what}.${key}`)]);
  return Object.fromEntries(texts);
}

export function textOf(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  throw new Error(`${what} is not text`);
}
