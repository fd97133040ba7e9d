/** `ps`: the containers on all hosts. */
import { type Command, Option } from 'commander';
import { nearest } from '../../core/nearest.ts';
import type { Endpoint } from '../../gen/overlayd/v1/control.ts';
import { collect, splitPair } from '../argument.ts';
import { UsageError } from '../exit.ts';
import { addressTexts, endpointJson } from '../network-json.ts';
import { addListOptions, type ListOptions, printListing } from '../output.ts';
import type { Session } from '../session.ts';

/** What one container has, of one network each. */
type Container = readonly [Endpoint, ...Endpoint[]];

const KEYS = ['health', 'name', 'network', 'node', 'state', 'tool'] as const;

interface Filter {
  readonly key: (typeof KEYS)[number];
  readonly value: string;
}

/** Of these the names of containers are one each on a host; what a person connects may have the same name in two networks. */
const NAMING_TOOLS = ['docker', 'podman', 'host'];

export function addPsCommand(program: Command, session: Session): void {
  addListOptions(program.command('ps').description('List the containers that are connected, on all hosts'))
    .addOption(
      new Option(
        '--filter <key=value>',
        'network=NAME, node=NAME, tool=docker, name=NAME, state=hidden, health=unhealthy; may be given several times',
      ).argParser(collect(parseFilter)),
    )
    .addHelpText(
      'after',
      "\nExamples:\n  overlayd ps --filter network=web\n  overlayd ps --filter node=host2 --filter tool=docker --format '{{.Name}}'",
    )
    .action(async ({ filter = [], ...options }: ListOptions & { filter?: readonly Filter[] }) => {
      const query = { network: '', node: '' };
      const { endpoints } = await session.ask('waiting for the agent', (client) => client.listEndpoints(query));
      printListing(session, options, {
        rows: containersOf(endpoints).filter((container) => fits(container, filter)),
        columns: [
          { heading: 'NAME', cell: ([{ name }]) => name },
          { heading: 'NODE', cell: ([{ nodeName }]) => nodeName },
          { heading: 'TOOL', cell: ([{ tool }]) => tool || '-' },
          { heading: 'STATE', cell: stateOf },
          { heading: 'NETWORKS', cell: (of) => of.map(attachmentText).join(', ') },
          { heading: 'ALSO KNOWN AS', cell: (of) => aliasesOf(of).join(', ') || '-' },
        ],
        toJson: containerJson,
        id: ([{ id }]) => id,
      });
    });
}

/** By name, and by host where several have it. */
function containersOf(endpoints: readonly Endpoint[]): Container[] {
  const containers = [...Map.groupBy(endpoints, containerKey).values()] as unknown as Container[];
  const text = ([{ name, nodeName }]: Container) => `${name}\n${nodeName}`;
  return containers.sort((a, b) => (text(a) < text(b) ? -1 : 1));
}

/** Only its own host knows which container it is; of other hosts it is its name, where that names one alone. */
function containerKey({ container, id, name, nodeId, tool }: Endpoint): string {
  if (container !== '') return `${nodeId} ${container}`;
  return NAMING_TOOLS.includes(tool) && name !== '' ? `${nodeId} ${tool} ${name}` : id;
}

function stateOf(of: Container): string {
  const health = healthOf(of);
  return health === '' ? of[0].state : `${of[0].state} (${health})`;
}

function healthOf(of: Container): string {
  return of.find(({ health }) => health !== '')?.health ?? '';
}

function attachmentText(endpoint: Endpoint): string {
  return [endpoint.networkName, ...addressTexts(endpoint)].join(' ');
}

function aliasesOf(of: Container): readonly string[] {
  return [...new Set(of.flatMap(({ name, aliases }) => [name, ...aliases]))].filter((name) => name !== of[0].name);
}

function containerJson(of: Container) {
  const [{ name, nodeId, nodeName, tool, container, state }] = of;
  return {
    Name: name,
    NodeID: nodeId,
    Node: nodeName,
    Tool: tool,
    /** Known on its own host alone. */
    Container: container,
    State: state,
    Health: healthOf(of),
    Aliases: aliasesOf(of),
    Networks: of.map((endpoint) => {
      const { ID, Network, NetworkID, IPv4Address, IPv6Address, MacAddress, Aliases, Name } = endpointJson(endpoint);
      return { EndpointID: ID, Network, NetworkID, Name, Aliases, IPv4Address, IPv6Address, MacAddress };
    }),
  };
}

/** Filters of one key widen the choice, different keys narrow it. */
function fits(of: Container, filters: readonly Filter[]): boolean {
  const byKey = Map.groupBy(filters, ({ key }) => key);
  return [...byKey].every(([key, group]) => group.some(({ value }) => valuesOf(of, key).includes(value)));
}

function valuesOf(of: Container, key: Filter['key']): readonly string[] {
  switch (key) {
    case 'health':
      return [healthOf(of)];
    case 'name':
      return [of[0].name, ...aliasesOf(of)];
    case 'network':
      return of.flatMap(({ networkName, networkId }) => [networkName, networkId]);
    case 'node':
      return [of[0].nodeName, of[0].nodeId];
    case 'state':
      return [of[0].state];
    case 'tool':
      return [of[0].tool];
  }
}

function parseFilter(text: string): Filter {
  const [key, value] = splitPair(text);
  if (value === undefined || value === '') throw new UsageError(`--filter ${text}: write it like network=web`);
  const known = KEYS.find((each) => each === key);
  if (known) return { key: known, value };
  const close = nearest(key, KEYS);
  throw new UsageError(
    `--filter ${text}: unknown filter ${key}; ${close ? `did you mean ${close}? ` : ''}there are ${KEYS.join(', ')}`,
  );
}
