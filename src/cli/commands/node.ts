/** `node ls`, `node inspect`, `node promote`, `node demote`, `node rm` and `node rotate-key`; `node update` is in `node-update.ts`. */
import type { Command } from 'commander';
import type { ClusterResult, Node } from '../../gen/overlayd/v1/control.ts';
import type { ControlClient, OnProgress } from '../client.ts';
import { forEach } from '../each.ts';
import { type Filters, hasLabel, is, isNamed, isOneOf, startsWith } from '../filter.ts';
import { inspectEach } from '../inspect.ts';
import {
  addInspectOption,
  addJsonOption,
  addListOptions,
  type Format,
  type ListOptions,
  printJson,
  printListing,
  timestamp,
} from '../output.ts';
import { noteRelease } from '../release.ts';
import type { Session } from '../session.ts';
import { shortId } from '../table.ts';
import { tunnelJson } from '../tunnel.ts';
import { addNodeUpdate } from './node-update.ts';

/** By their role in the store. */
const STORE = { keeper: 'keeper', copy: 'copy', member: '-' } as const;

/** No wider than the heading; `node inspect` and `status` say it in full. */
const WIREGUARD: Readonly<Record<string, string>> = { '': 'none', 'wireguard-go': 'userspace' };

const FILTERS: Filters<Node> = {
  id: startsWith(({ id }) => id),
  label: hasLabel(({ labels }) => labels),
  name: isNamed(({ name }) => name),
  role: isOneOf(roleOf, ['keeper', 'copy', 'member']),
  self: is(({ self }) => self),
  state: isOneOf(
    ({ state, left }) => (left ? [state, 'left'] : state),
    ['ready', 'joining', 'restarting', 'suspect', 'down', 'left'],
  ),
  version: isOneOf(({ version }) => version),
};

export function addNodeCommands(program: Command, session: Session): void {
  const node = program.command('node').description('See, change and remove the members of the cluster');

  addListOptions(node.command('ls').alias('list').description('List the nodes'), FILTERS)
    .addHelpText(
      'after',
      "\nThe asterisk marks this host, which is `self` wherever a node is named.\n\nExamples:\n  overlayd node ls --filter state=down\n  overlayd node ls --format '{{.Name}} {{.State}}'",
    )
    .action(async (options: ListOptions) => {
      const { nodes } = await session.ask('waiting for the agent', (client) => client.listNodes({}));
      printListing(session, options, {
        rows: nodes,
        filters: FILTERS,
        columns: [
          { heading: 'ID', cell: (row) => `${shortId(row.id, !options.trunc)}${row.self ? ' *' : ''}` },
          { heading: 'NAME', cell: (row) => row.name },
          { heading: 'STATE', cell: (row) => (row.left ? `${row.state} (left)` : row.state) },
          { heading: 'ADDRESS', cell: (row) => row.advertiseAddress },
          // Most hosts have one address for both.
          ...(nodes.some(({ advertiseAddress, vtep }) => vtep !== advertiseAddress)
            ? [{ heading: 'VTEP', cell: (row: Node) => row.vtep }]
            : []),
          { heading: 'STORE', cell: (row) => STORE[roleOf(row)] },
          { heading: 'WIREGUARD', cell: (row) => WIREGUARD[row.wireguardBackend] ?? row.wireguardBackend },
          { heading: 'ENDPOINTS', cell: (row) => String(row.endpoints) },
          { heading: 'VERSION', cell: (row) => row.version || '-' },
        ],
        toJson: nodeJson,
        id: (row) => row.id,
      });
      noteRelease(session, nodes.find(({ self }) => self)?.version);
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

  addNodeUpdate(node, session);

  node
    .command('rm')
    .aliases(['remove', 'delete'])
    .description('Remove nodes that are down from the cluster')
    .argument('<node...>', 'name, id or beginning of an id')
    .option(
      '-f, --force',
      'remove a node that is up, too; its containers lose their networks, their addresses go to others',
    )
    .option('--rotate-ca', 'replace the CA then: one that kept the store knew its key (see `overlayd ca rotate`)')
    .addHelpText(
      'after',
      '\nOf hosts that keep the store the last one is never removed; in the place of another one a further host goes on.\n\nExamples:\n  overlayd node rm host3\n  overlayd node rm --force 3fa85f64\n  overlayd node rm --rotate-ca host1',
    )
    .action(async (refs: string[], { force = false, rotateCa = false }: { force?: boolean; rotateCa?: boolean }) => {
      await session.ask('removing the node', async (client, report) => {
        await forEach(session, refs, async (ref) => {
          await client.removeNode({ ref, force });
          session.print(ref);
        });
        if (rotateCa) await client.rotateCa({}, report);
      });
    });

  addJsonOption(
    node
      .command('promote')
      .description('Have hosts keep the store: they run a member of the etcd of the cluster')
      .argument('<node...>', 'name, id or beginning of an id'),
  )
    .addHelpText(
      'after',
      `
By itself the store grows with the first hosts that join (see \`overlayd store status\`). A promoted host comes
first; where as many keep the store as are wanted, two more are wanted from then on. Two votes would be worse
than one, so the second host has a copy only until there is a third. Run it on a host that keeps the store.

Examples:
  overlayd node promote host4
  overlayd node promote host4 host5`,
    )
    .action((refs: string[], { format }: { format: string }) =>
      changeStore(
        session,
        refs,
        format,
        'making the node a member of the store',
        'keeps the store',
        (client, ref, report) => client.promoteNode({ ref }, report),
      ),
    );

  addJsonOption(
    node
      .command('demote')
      .description('Have hosts keep the store no more')
      .argument('<node...>', 'name, id or beginning of an id'),
  )
    .addHelpText(
      'after',
      `
Another host takes the place where one can. Its etcd hands over, stops, and its data are set aside. The host
does not become a keeper again by itself, but by \`overlayd node promote\`.

Example:
  overlayd node demote host1`,
    )
    .action((refs: string[], { format }: { format: string }) =>
      changeStore(
        session,
        refs,
        format,
        'letting the others keep the store',
        'keeps the store no more',
        (client, ref, report) => client.demoteNode({ ref }, report),
      ),
    );

  node
    .command('rotate-key')
    .description("Exchange this host's WireGuard key for a new one, without a lost packet")
    .option('-f, --force', 'wait for no member; what those that do not follow at once send here meanwhile is lost')
    .addHelpText(
      'after',
      '\nBoth keys are valid until every member uses the new one, half a minute at least. The exchange goes on when the command is ended. Keys are exchanged by themselves as well, by age (--wireguard-key-lifetime of the agent).\n\nExample:\n  overlayd node rotate-key',
    )
    .action(async ({ force = false }: { force?: boolean }) => {
      const { nodeName } = await session.ask('exchanging the key', (client, report) =>
        client.rotateKey({ force }, report),
      );
      session.print(`The WireGuard key of ${nodeName} is exchanged.`);
    });
}

function roleOf({ holdsStore, holdsCopy }: Node): keyof typeof STORE {
  return holdsStore ? 'keeper' : holdsCopy ? 'copy' : 'member';
}

/** One after the other: etcd takes one change of its members at a time. */
async function changeStore(
  session: Session,
  refs: readonly string[],
  format: string,
  waiting: string,
  done: string,
  ask: (client: ControlClient, ref: string, report: OnProgress) => Promise<ClusterResult>,
): Promise<void> {
  await session.ask(waiting, (client, report) =>
    forEach(session, refs, async (ref) => {
      const { nodeId, nodeName, warnings } = await ask(client, ref, report);
      session.warn(warnings);
      if (format === 'json') printJson(session, { NodeID: nodeId, NodeName: nodeName, Warnings: warnings });
      else if (warnings.length === 0) session.print(`Node ${nodeName} ${done}.`);
    }),
  );
}

export function nodeJson(node: Node) {
  return {
    ID: node.id,
    Name: node.name,
    State: node.state,
    Self: node.self,
    Left: node.left,
    HoldsStore: node.holdsStore,
    HoldsCopy: node.holdsCopy,
    EtcdVersion: node.etcdVersion,
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
    Wireguard: {
      Backend: node.wireguardBackend,
      Keys: node.wireguardKeys.map(({ publicKey, port }) => ({ PublicKey: publicKey, Port: port })),
    },
    Tunnel: node.tunnel ? tunnelJson(node.tunnel) : null,
  };
}
