/** `ps`: the containers on all hosts. */
import { type Command, Option } from 'commander';
import type { Endpoint } from '../../gen/overlayd/v1/control.ts';
import { type Filters, hasLabel, isNamed, isOneOf } from '../filter.ts';
import { addressTexts, endpointJson } from '../network-json.ts';
import { addListOptions, type ListOptions, printListing } from '../output.ts';
import { withSelf } from '../self.ts';
import type { Session } from '../session.ts';

/** What one container has, of one network each. */
type Container = readonly [Endpoint, ...Endpoint[]];

const LABEL = hasLabel<Endpoint>(({ labels }) => labels);

const FILTERS: Filters<Container> = {
  health: isOneOf((of) => healthOf(of) || 'healthy', ['healthy', 'unhealthy']),
  id: { matches: (of, value) => of.some(({ id }) => id.startsWith(value)) },
  label: { narrows: true, matches: (of, value) => of.some((endpoint) => LABEL.matches(endpoint, value)) },
  name: isNamed((of) => [of[0].name, ...aliasesOf(of)]),
  network: isOneOf((of) => of.flatMap(({ networkName, networkId }) => [networkName, networkId])),
  node: isOneOf(([{ nodeName, nodeId }]) => [nodeName, nodeId]),
  state: isOneOf(([{ state }]) => state, ['up', 'hidden']),
  tool: isOneOf(([{ tool }]) => tool),
};

/** Of these the names of containers are one each on a host; what a person connects may have the same name in two networks. */
const NAMING_TOOLS = ['docker', 'podman', 'host'];

export function addPsCommand(program: Command, session: Session): void {
  addListOptions(program.command('ps').description('List the containers that are connected, on all hosts'), FILTERS)
    // Docker's, for those that do not run: they are on no network.
    .addOption(new Option('-a, --all').hideHelp())
    .addHelpText(
      'after',
      "\nExamples:\n  overlayd ps --filter network=web\n  overlayd ps --filter node=host2 --filter tool=docker --format '{{.Name}}'",
    )
    .action(async (options: ListOptions) => {
      const query = { network: '', node: '' };
      const [{ endpoints }, filter] = await session.ask('waiting for the agent', (client) =>
        Promise.all([client.listEndpoints(query), withSelf(client, options.filter)]),
      );
      printListing(
        session,
        { ...options, filter },
        {
          rows: containersOf(endpoints),
          filters: FILTERS,
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
        },
      );
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
