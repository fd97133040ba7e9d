/** `service create`, `service rm`, `service ls` and `service inspect`: aliases with an address of their own. */
import type { Command } from 'commander';
import { checkEndpointName } from '../../core/names.ts';
import type { Service } from '../../gen/overlayd/v1/control.ts';
import { parseStaticAddress } from '../argument.ts';
import { checkLocally } from '../exit.ts';
import { type Filters, is, isNamed, isOneOf, startsWith } from '../filter.ts';
import {
  addInspectOption,
  addListOptions,
  type Format,
  type ListOptions,
  printInspected,
  printListing,
  timestamp,
} from '../output.ts';
import type { Session } from '../session.ts';

const FILTERS: Filters<Service> = {
  address: isOneOf(({ addresses }) => addresses),
  alias: isNamed(({ alias }) => alias),
  automatic: is(({ automatic }) => automatic),
  id: startsWith(({ id }) => id),
  name: isNamed(({ alias }) => alias),
  network: isOneOf(({ networkName, networkId }) => [networkName, networkId]),
};

export function addServiceCommands(program: Command, session: Session): void {
  const service = program.command('service').description('Give an alias one address for all containers that go by it');
  addCreate(service, session);
  addRemove(service, session);
  addList(service, session);
  addInspect(service, session);
}

function addCreate(service: Command, session: Session): void {
  service
    .command('create')
    .description('Give an alias of a network an address that spreads connections over all that go by it')
    .requiredOption('--network <network>', 'network of the alias')
    .requiredOption('--alias <alias>', 'name or alias of containers, there or to come', (text: string) =>
      checkLocally(() => checkEndpointName(text, '--alias')),
    )
    .option('--ip <address>', 'address of IPv4 (default: a free one)', parseStaticAddress(4))
    .option(
      '--ip6 <address>',
      'address of IPv6 (default: a free one, where the network has IPv6)',
      parseStaticAddress(6),
    )
    .addHelpText(
      'after',
      `
The alias is answered with that address; tasks.ALIAS with those of all containers (docs/services.md).

Examples:
  overlayd service create --network web --alias api
  overlayd service create --network web --alias api --ip 10.0.1.100`,
    )
    .action(async ({ network, alias, ip, ip6 }: { network: string; alias: string; ip?: string; ip6?: string }) => {
      const made = await session.ask('creating the service', (client) =>
        client.createService({ network, alias, ip: ip ?? '', ip6: ip6 ?? '' }),
      );
      for (const address of made.addresses) session.print(address);
    });
}

function addRemove(service: Command, session: Session): void {
  service
    .command('rm')
    .aliases(['remove', 'delete'])
    .description('Take the address from an alias; it is answered with those of its containers again')
    .argument('<network>')
    .argument('<alias>')
    .addHelpText('after', '\nExample:\n  overlayd service rm web api')
    .action(async (network: string, alias: string) => {
      const removed = await session.ask('removing the service', (client) => client.removeService({ network, alias }));
      session.print(`${removed.alias}.${removed.networkName}`);
    });
}

function addList(service: Command, session: Session): void {
  addListOptions(service.command('ls').alias('list').description('List services, of a network or of all'), FILTERS)
    .argument('[network]')
    .addHelpText('after', '\nExamples:\n  overlayd service ls\n  overlayd service ls web --format json')
    .action(async (network: string | undefined, options: ListOptions) => {
      const { services } = await session.ask('waiting for the agent', (client) =>
        client.listServices({ network: network ?? '' }),
      );
      printListing(session, options, {
        rows: services,
        filters: FILTERS,
        columns: [
          { heading: 'NETWORK', cell: (row) => row.networkName },
          { heading: 'ALIAS', cell: (row) => row.alias },
          { heading: 'ADDRESS', cell: (row) => row.addresses.join(', ') },
          { heading: 'CONTAINERS', cell: countText },
        ],
        toJson: serviceJson,
        id: (row) => row.id,
      });
    });
}

function addInspect(service: Command, session: Session): void {
  addInspectOption(service.command('inspect').description('Show a service with the containers behind it, as JSON'))
    .argument('<network>')
    .argument('<alias>')
    .addHelpText(
      'after',
      "\nExamples:\n  overlayd service inspect web api\n  overlayd service inspect -f '{{json .Addresses}}' web api",
    )
    .action(async (network: string, alias: string, { format }: { readonly format?: Format }) => {
      const found = await session.ask('waiting for the agent', (client) => client.getService({ network, alias }));
      printInspected(session, format, [serviceJson(found)]);
    });
}

/** Of containers: those that something is sent to, of all. */
function countText({ backends }: Service): string {
  const ids = (all: Service['backends']) => new Set(all.map(({ endpointId }) => endpointId)).size;
  const used = ids(backends.filter(({ out }) => out === ''));
  const all = ids(backends);
  return used === all ? String(all) : `${used} of ${all}`;
}

export function serviceJson({
  id,
  networkId,
  networkName,
  alias,
  addresses,
  automatic,
  createdAtMs,
  backends,
}: Service) {
  return {
    ID: id,
    Network: networkName,
    NetworkID: networkId,
    Alias: alias,
    Addresses: addresses,
    Automatic: automatic,
    Created: timestamp(createdAtMs),
    Backends: backends.map((each) => ({
      Endpoint: each.endpointId,
      Name: each.name,
      Node: each.nodeName,
      Address: each.address,
      /** Why nothing is sent there, in words; empty: it is. */
      Out: each.out,
    })),
  };
}
