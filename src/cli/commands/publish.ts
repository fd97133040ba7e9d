/** `publish`, `publish ls` and `publish rm`: ports of this host that lead to containers. */
import type { Command } from 'commander';
import { parseHostEnd, parsePublication } from '../../core/publish.ts';
import type { Publication } from '../../gen/overlayd/v1/control.ts';
import { forEach } from '../each.ts';
import { checkLocally } from '../exit.ts';
import { type Filters, fits, is, isNamed, isOneOf } from '../filter.ts';
import { addListOptions, type ListOptions, printListing } from '../output.ts';
import type { Session } from '../session.ts';

const FILTERS: Filters<Publication> = {
  name: isNamed(({ name }) => name),
  network: isOneOf(({ networkName, networkId }) => [networkName, networkId]),
  port: isOneOf(({ hostPort }) => String(hostPort)),
  protocol: isOneOf(({ protocol }) => protocol, ['tcp', 'udp', 'sctp']),
  tool: isOneOf(({ tool }) => tool),
  waiting: is(({ waitsFor }) => waitsFor !== ''),
};

export function addPublishCommands(program: Command, session: Session): void {
  const publish = program.command('publish').description('Publish ports of containers on this host');
  addPublish(publish, session);
  addRemove(publish, session);
  addList(publish, session);
}

function addPublish(publish: Command, session: Session): void {
  publish
    .command('add', { isDefault: true })
    .description('Let a port of this host lead to a container')
    .argument('<publication>', '[IP:]PORT:NETWORK/NAME:PORT[/tcp|udp|sctp]; without IP at all addresses of the host')
    .addHelpText(
      'after',
      `
NAME is the name or an alias of a container on this host, or, where this host itself is on the network (overlayd
network expose), on any host. It may come later, move, and go and come again: the port stays published until it is
taken back. A container here sees the address of whoever calls, one of another host this host's. Docker publishes
the ports of its containers by itself (docker run -p).

Examples:
  overlayd publish 8080:web/api:80
  overlayd publish 192.0.2.1:53:web/dns:53/udp
  overlayd publish '[2001:db8::1]:443:web/proxy:8443'
  overlayd publish ls
  overlayd publish rm 8080`,
    )
    .action(async (publication: string) => {
      checkLocally(() => parsePublication(publication));
      const published = await session.ask('publishing', (client) => client.publish({ publication }));
      session.warn(published.warnings);
      session.print(formatPublication(published.publication!));
    });
}

function addRemove(publish: Command, session: Session): void {
  publish
    .command('rm')
    .aliases(['remove', 'delete'])
    .description('Take back published ports')
    .argument('<port...>', '[IP:]PORT[/tcp|udp|sctp], or as it was published')
    .addHelpText('after', '\nExamples:\n  overlayd publish rm 8080\n  overlayd publish rm 192.0.2.1:53/udp')
    .action(async (publications: string[]) => {
      for (const each of publications) checkLocally(() => parseHostEnd(each));
      await session.ask('taking the port back', (client) =>
        forEach(session, publications, async (publication) =>
          session.print(formatPublication(await client.unpublish({ publication }))),
        ),
      );
    });
}

function addList(publish: Command, session: Session): void {
  addListOptions(
    publish.command('ls').alias('list').description('List the published ports of this host'),
    FILTERS,
    'ports',
  )
    .addHelpText(
      'after',
      '\nPorts in a row that lead to ports in a row are one line; in JSON, and in a template, each is by itself.\n\nExamples:\n  overlayd publish ls\n  overlayd publish ls --filter protocol=udp --format json',
    )
    .action(async (options: ListOptions) => {
      const { publications } = await session.ask('waiting for the agent', (client) => client.listPublications({}));
      const isTable = !options.quiet && (options.format ?? 'table') === 'table';
      // Before they are put together.
      const found = publications.filter((row) => fits(FILTERS, row, options.filter ?? []));
      printListing(
        session,
        { ...options, filter: [] },
        {
          rows: isTable ? rangesOf(found) : found.map((each) => ({ first: each, last: each })),
          filters: {},
          columns: [
            { heading: 'PORT', cell: hostEnds },
            { heading: 'NETWORK', cell: ({ first }) => first.networkName },
            { heading: 'NAME', cell: ({ first }) => first.name },
            { heading: 'TO', cell: (row) => targets(row).join(', ') },
            { heading: 'TOOL', cell: ({ first }) => first.tool },
            { heading: 'WAITS FOR', cell: ({ first }) => first.waitsFor },
          ],
          toJson: ({ first }) => publicationJson(first),
          id: ({ first }) => first.hostEnd,
        },
      );
    });
}

/** Ports in a row that lead to ports in a row of the same containers. */
interface Range {
  readonly first: Publication;
  last: Publication;
}

function rangesOf(publications: readonly Publication[]): Range[] {
  const ranges: Range[] = [];
  const lasts = new Map<string, Range>();
  for (const each of [...publications].sort((a, b) => a.hostPort - b.hostPort)) {
    const { hostAddress, hostPort, protocol, networkId, name, port, addresses, waitsFor, tool } = each;
    const key = JSON.stringify([hostAddress, protocol, networkId, name, hostPort - port, addresses, waitsFor, tool]);
    const range = lasts.get(key);
    if (range && range.last.hostPort + 1 === hostPort) range.last = each;
    else {
      const begun = { first: each, last: each };
      ranges.push(begun);
      lasts.set(key, begun);
    }
  }
  return ranges;
}

/** e.g. `8000-8010/tcp`. */
function hostEnds({ first, last }: Range): string {
  if (first === last) return first.hostEnd;
  return first.hostEnd.replace(`${first.hostPort}/`, `${first.hostPort}-${last.hostPort}/`);
}

function formatPublication(row: Publication): string {
  return `${row.hostEnd} -> ${row.networkName}/${row.name}:${row.port}`;
}

function targets({ first, last }: Range): string[] {
  const ports = first === last ? `${first.port}` : `${first.port}-${last.port}`;
  return first.addresses.map((address) => (address.includes(':') ? `[${address}]:${ports}` : `${address}:${ports}`));
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
