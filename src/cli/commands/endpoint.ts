/** `endpoint ls` and `endpoint inspect`. */
import type { Command } from 'commander';
import type { Endpoint } from '../../gen/overlayd/v1/control.ts';
import { type Filters, hasLabel, isNamed, isOneOf, startsWith } from '../filter.ts';
import { inspectEach } from '../inspect.ts';
import { addressTexts, endpointJson } from '../network-json.ts';
import { addInspectOption, addListOptions, type Format, type ListOptions, printListing } from '../output.ts';
import { withSelf } from '../self.ts';
import type { Session } from '../session.ts';
import { shortId } from '../table.ts';

const ENDPOINT_FILTERS: Filters<Endpoint> = {
  address: isOneOf(({ addresses }) => addresses.map(({ address }) => address)),
  health: isOneOf(({ health }) => health || 'healthy', ['healthy', 'unhealthy']),
  id: startsWith(({ id }) => id),
  label: hasLabel(({ labels }) => labels),
  name: isNamed(({ name, aliases }) => [name, ...aliases]),
  network: isOneOf(({ networkName, networkId }) => [networkName, networkId]),
  node: isOneOf(({ nodeName, nodeId }) => [nodeName, nodeId]),
  state: isOneOf(({ state }) => state, ['up', 'hidden']),
  tool: isOneOf(({ tool }) => tool),
};

export function addEndpointCommands(program: Command, session: Session): void {
  const endpoint = program.command('endpoint').description('See what is connected, on all hosts');

  addListOptions(endpoint.command('ls').alias('list').description('List the endpoints'), ENDPOINT_FILTERS)
    .option('--network <network>', 'only those of this network')
    .option('--node <node>', 'only those on this node')
    .addHelpText(
      'after',
      "\nExamples:\n  overlayd endpoint ls --network web\n  overlayd endpoint ls --node host2 --format '{{.Name}} {{.IPv4Address}}'",
    )
    .action(async (options: ListOptions & { network?: string; node?: string }) => {
      const query = { network: options.network ?? '', node: options.node ?? '' };
      const [{ endpoints }, filter] = await session.ask('waiting for the agent', (client) =>
        Promise.all([client.listEndpoints(query), withSelf(client, options.filter)]),
      );
      printListing(
        session,
        { ...options, filter },
        {
          rows: endpoints,
          filters: ENDPOINT_FILTERS,
          columns: [
            { heading: 'ENDPOINT ID', cell: (row) => shortId(row.id, !options.trunc) },
            { heading: 'NAME', cell: (row) => row.name },
            { heading: 'NETWORK', cell: (row) => row.networkName },
            { heading: 'ADDRESS', cell: (row) => addressTexts(row).join(', ') },
            { heading: 'NODE', cell: (row) => row.nodeName },
            { heading: 'STATE', cell: (row) => (row.health === '' ? row.state : `${row.state} (${row.health})`) },
            { heading: 'TOOL', cell: (row) => row.tool },
            { heading: 'CONTAINER', cell: (row) => row.container },
          ],
          toJson: endpointJson,
          id: (row) => row.id,
        },
      );
    });

  addInspectOption(endpoint.command('inspect').description('Show all that is known of endpoints, as JSON'))
    .argument('<endpoint...>', 'name, NETWORK/NAME, id or beginning of an id')
    .addHelpText(
      'after',
      "\nExamples:\n  overlayd endpoint inspect api\n  overlayd endpoint inspect -f '{{.MacAddress}}' api",
    )
    .action(async (refs: string[], { format }: { format?: Format }) => {
      await inspectEach(session, refs, format, (client, ref) => client.getEndpoint({ ref }), endpointJson);
    });
}
