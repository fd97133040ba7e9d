/** `node update`: labels and name of a node. */
import type { Command } from 'commander';
import { checkNodeLabels, collect, collectPairs, type Pairs, parseNodeName, refuseOption } from '../argument.ts';
import { UsageError } from '../exit.ts';
import type { Session } from '../session.ts';

interface UpdateOptions {
  readonly labelAdd?: Pairs;
  readonly labelRm?: readonly string[];
  readonly name?: string;
}

export function addNodeUpdate(node: Command, session: Session): void {
  const command = node
    .command('update')
    .description('Change labels or the name of a node')
    .argument('<node>', 'name, id or beginning of an id; self is this host')
    .option('--label-add <key=value>', 'label to set; may be repeated', collectPairs)
    .option(
      '--label-rm <key>',
      'label to take away; may be repeated',
      collect((key: string) => key),
    )
    .option('--name <name>', 'another name, by which the node is listed and asked for from then on', parseNodeName)
    .addHelpText(
      'after',
      `
A host that gets another host name keeps the node's name, until it is given another one here. Traffic, names of containers and
certificates do not depend on it.

Examples:
  overlayd node update --label-add rack=7 --label-rm ssd host2
  overlayd node update --name "$(hostname)" self`,
    );
  refuseOption(command, '--role <role>', 'hosts keep the store by `overlayd node promote` and `overlayd node demote`');
  refuseOption(
    command,
    '--availability <availability>',
    'nothing is scheduled here: containers run where you start them',
  );
  command.action(async (ref: string, { labelAdd, labelRm, name = '' }: UpdateOptions) => {
    if (labelAdd === undefined && labelRm === undefined && name === '') {
      throw new UsageError('nothing is to be changed; give --label-add, --label-rm or --name');
    }
    const request = { ref, labels: { ...checkNodeLabels(labelAdd) }, labelsRemoved: [...(labelRm ?? [])], name };
    await session.ask('updating the node', (client) => client.updateNode(request));
    session.print(name || ref);
  });
}
