/** `node ls`, `node inspect` and `node rm`. */
import type { Command } from 'commander';
import type { Node } from '../../gen/overlayd/v1/control.ts';
import { forEach } from '../each.ts';
import { inspectEach } from '../inspect.ts';
import { addInspectOption, addListOptions, type Format, type ListOptions, printListing, timestamp } from '../output.ts';
import type { Session } from '../session.ts';
import { shortId } from '../table.ts';

export function addNodeCommands(program: Command, session: Session): void {
  const node = program.command('node').description('See and remove the members of the cluster');

  addListOptions(node.command('ls').alias('list').description('List the nodes'))
    .addHelpText(
      'after',
      "\nThe asterisk marks this host.\n\nExamples:\n  overlayd node ls\n  overlayd node ls --format '{{.Name}} {{.State}}'",
    )
    .action(async (options: ListOptions) => {
      const { nodes } = await session.ask('waiting for the agent', (client) => client.listNodes({}));
      printListing(session, options, {
        rows: nodes,
        columns: [
          { heading: 'ID', cell: (row) => `${shortId(row.id, !options.trunc)}${row.self ? ' *' : ''}` },
          { heading: 'NAME', cell: (row) => row.name },
          { heading: 'STATE', cell: (row) => (row.left ? `${row.state} (left)` : row.state) },
          { heading: 'ADDRESS', cell: (row) => row.advertiseAddress },
          { heading: 'VTEP', cell: (row) => row.vtep },
          { heading: 'ENDPOINTS', cell: (row) => String(row.endpoints) },
          { heading: 'VERSION', cell: (row) => row.version || '-' },
        ],
        toJson: nodeJson,
        id: (row) => row.id,
      });
    });

  addInspectOption(node.command('inspect').description('Show all that is known of nodes, as JSON'))
    .argument('<node...>', 'name, id or beginning of an id')
    .addHelpText(
      'after',
      "\nExamples:\n  overlayd node inspect host2\n  overlayd node inspect -f '{{.UnderlayMtu}}' host1 host2",
    )
    .action(async (refs: string[], { format }: { format?: Format }) => {
      await inspectEach(session, refs, format, (client, ref) => client.getNode({ ref }), nodeJson);
    });

  node
    .command('rm')
    .alias('remove')
    .description('Remove nodes that are down from the cluster')
    .argument('<node...>', 'name, id or beginning of an id')
    .option(
      '-f, --force',
      'remove a node that is up, too; its containers lose their networks, their addresses go to others',
    )
    .addHelpText(
      'after',
      "\nThe host that runs the cluster's only etcd is never removed.\n\nExamples:\n  overlayd node rm host3\n  overlayd node rm --force 3fa85f64",
    )
    .action(async (refs: string[], { force = false }: { force?: boolean }) => {
      await session.ask('removing the node', (client) =>
        forEach(session, refs, async (ref) => {
          await client.removeNode({ ref, force });
          session.print(ref);
        }),
      );
    });
}

export function nodeJson(node: Node) {
  return {
    ID: node.id,
    Name: node.name,
    State: node.state,
    Self: node.self,
    Left: node.left,
    HoldsStore: node.holdsStore,
    AdvertiseAddress: node.advertiseAddress,
    JoinPort: node.joinPort,
    GossipPort: node.gossipPort,
    Vtep: node.vtep,
    DataPathPort: node.dataPathPort,
    UnderlayMtu: node.underlayMtu,
    Endpoints: node.endpoints,
    JoinedAt: timestamp(node.joinedAtMs),
    KeyFingerprint: node.keyFingerprint,
    Labels: node.labels,
    Version: node.version,
    Levels: { From: node.lowestLevel, To: node.highestLevel },
  };
}
