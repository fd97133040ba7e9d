/** `publish`, `publish ls` and `publish rm`: ports of this host that lead to containers on it. */
import type { Command } from 'commander';
import type { Publication } from '../../gen/overlayd/v1/control.ts';
import { addListOptions, type ListOptions, printListing } from '../output.ts';
import type { Session } from '../session.ts';

export function addPublishCommands(program: Command, session: Session): void {
  const publish = program.command('publish').description('Publish ports of containers on this host');
  addPublish(publish, session);
  addRemove(publish, session);
  addList(publish, session);
}

function addPublish(publish: Command, session: Session): void {
  publish
    .command('add', { isDefault: true })
    .description('Let a port of this host lead to a container here')
    .argument('<publication>', '[IP:]PORT:NETWORK/NAME:PORT[/tcp|udp|sctp]; without IP at all addresses of the host')
    .addHelpText(
      'after',
      `
NAME is the name or an alias of a container on this host. It may come later, and go and come again: the port
stays published until it is taken back. The container sees the address of whoever calls. Docker publishes the
ports of its containers by itself (docker run -p).

Examples:
  overlayd publish 8080:web/api:80
  overlayd publish 192.0.2.1:53:web/dns:53/udp
  overlayd publish '[2001:db8::1]:443:web/proxy:8443'
  overlayd publish ls
  overlayd publish rm 8080`,
    )
    .action(async (publication: string) => {
      const published = await session.ask('publishing', (client) => client.publish({ publication }));
      session.warn(published.warnings);
      session.print(formatPublication(published.publication!));
    });
}

function addRemove(publish: Command, session: Session): void {
  publish
    .command('rm')
    .alias('remove')
    .description('Take back a published port')
    .argument('<port>', '[IP:]PORT[/tcp|udp|sctp], or as it was published')
    .addHelpText('after', '\nExamples:\n  overlayd publish rm 8080\n  overlayd publish rm 192.0.2.1:53/udp')
    .action(async (publication: string) => {
      const removed = await session.ask('taking the port back', (client) => client.unpublish({ publication }));
      session.print(formatPublication(removed));
    });
}

function addList(publish: Command, session: Session): void {
  addListOptions(publish.command('ls').alias('list').description('List the published ports of this host'))
    .addHelpText('after', '\nExamples:\n  overlayd publish ls\n  overlayd publish ls --format json')
    .action(async (options: ListOptions) => {
      const { publications } = await session.ask('waiting for the agent', (client) => client.listPublications({}));
      printListing(session, options, {
        rows: publications,
        columns: [
          { heading: 'PORT', cell: (row) => row.hostEnd },
          { heading: 'NETWORK', cell: (row) => row.networkName },
          { heading: 'NAME', cell: (row) => row.name },
          { heading: 'TO', cell: (row) => targets(row).join(', ') },
          { heading: 'TOOL', cell: (row) => row.tool },
          { heading: 'WAITS FOR', cell: (row) => row.waitsFor },
        ],
        toJson: publicationJson,
        id: (row) => row.hostEnd,
      });
    });
}

function formatPublication(row: Publication): string {
  return `${row.hostEnd} -> ${row.networkName}/${row.name}:${row.port}`;
}

function targets({ addresses, port }: Publication): string[] {
  return addresses.map((address) => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`));
}

function publicationJson(row: Publication) {
  return {
    HostIp: row.hostAddress,
    HostPort: row.hostPort,
    Protocol: row.protocol,
    NetworkID: row.networkId,
    NetworkName: row.networkName,
    Name: row.name,
    Port: row.port,
    Addresses: row.addresses,
    WaitsFor: row.waitsFor,
    Tool: row.tool,
  };
}
