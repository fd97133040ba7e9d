/** `dns add`, `dns rm` and `dns ls`: static names of networks. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { formatDuration, parseDuration } from '../../core/config/duration.ts';
import { DOMAIN } from '../../core/dns/domain.ts';
import { parseStaticSet, parseStaticValues, staticName, staticType } from '../../core/dns/static-names.ts';
import { isOverlaydError } from '../../core/errors.ts';
import type { DnsSet } from '../../gen/overlayd/v1/control.ts';
import { checkLocally } from '../exit.ts';
import { type Filters, isNamed, isOneOf } from '../filter.ts';
import { addListOptions, type ListOptions, printListing } from '../output.ts';
import type { Session } from '../session.ts';

const FILTERS: Filters<DnsSet> = {
  name: isNamed(({ name }) => name),
  network: isOneOf(({ networkName, networkId }) => [networkName, networkId]),
  type: isOneOf(({ type }) => type, ['A', 'AAAA', 'CNAME', 'TXT', 'SRV']),
  value: isOneOf(({ values }) => values),
};

export function addDnsCommands(program: Command, session: Session): void {
  const dns = program.command('dns').description('Give names on networks to what is no container');
  addAdd(dns, session);
  addRemove(dns, session);
  addList(dns, session);
}

function addAdd(dns: Command, session: Session): void {
  dns
    .command('add')
    .description('Add values to a name of a network, for its containers on every host')
    .argument('<network>')
    .argument('<name>', 'name on the network, without it, like db')
    .argument('<type>', 'A, AAAA, CNAME, TXT or SRV')
    .argument('<value...>', 'addresses; another name of the network; texts; priority, weight, port and host')
    .addOption(
      new Option('--ttl <duration>', "how long answers may be kept (default: as containers' names)").argParser(
        parseTtl,
      ),
    )
    .addHelpText(
      'after',
      `
Where a container goes by the name, now or later, it is answered alone (docs/dns.md).

Examples:
  overlayd dns add web db A 192.0.2.9 192.0.2.10
  overlayd dns add web printer AAAA 2001:db8::9 --ttl 1h
  overlayd dns add web database CNAME db
  overlayd dns add web db TXT "owner=team a"
  overlayd dns add web _http._tcp.api SRV 0 5 8080 api`,
    )
    .action(
      async (network: string, name: string, type: string, values: string[], { ttl }: { readonly ttl?: number }) => {
        const ttlSeconds = ttl === undefined ? undefined : ttl / 1_000;
        checkTyped(network, [name, ...values], (owner) => parseStaticSet({ name, type, values, ttlSeconds }, owner));
        const set = await session.ask('adding the name', (client) =>
          client.addDns({ network, name, type, values, ttlSeconds }),
        );
        for (const value of set.values) session.print(`${set.name}.${set.networkName} ${set.type} ${value}`);
      },
    );
}

function addRemove(dns: Command, session: Session): void {
  dns
    .command('rm')
    .aliases(['remove', 'delete'])
    .description('Remove a static name from a network, or a type or values of it')
    .argument('<network>')
    .argument('<name>')
    .argument('[type]', 'that type only')
    .argument('[value...]', 'those values only')
    .addHelpText(
      'after',
      '\nExamples:\n  overlayd dns rm web db\n  overlayd dns rm web db A 192.0.2.10\n  overlayd dns rm web _http._tcp.api SRV',
    )
    .action(async (network: string, name: string, type: string | undefined, values: string[]) => {
      checkTyped(network, [name, ...values], (owner) => {
        staticName(name, owner, 'name');
        if (type !== undefined) parseStaticValues(staticType(type), values, owner);
      });
      const removed = await session.ask('removing the name', (client) =>
        client.removeDns({ network, name, type: type ?? '', values }),
      );
      session.print(removed.ref);
    });
}

function addList(dns: Command, session: Session): void {
  addListOptions(
    dns.command('ls').alias('list').description('List static names, of a network or of all'),
    FILTERS,
    'names',
  )
    .argument('[network]')
    .addHelpText('after', '\nExamples:\n  overlayd dns ls\n  overlayd dns ls web --filter type=SRV --format json')
    .action(async (network: string | undefined, options: ListOptions) => {
      const { sets } = await session.ask('waiting for the agent', (client) =>
        client.listDns({ network: network ?? '' }),
      );
      printListing(session, options, {
        rows: sets,
        filters: FILTERS,
        columns: [
          { heading: 'NETWORK', cell: (row) => row.networkName },
          { heading: 'NAME', cell: (row) => row.name },
          { heading: 'TYPE', cell: (row) => row.type },
          { heading: 'TTL', cell: (row) => ttlText(row) },
          { heading: 'VALUES', cell: (row) => row.values.join(', ') },
          { heading: 'ANSWERED INSTEAD', cell: (row) => row.takenBy },
        ],
        toJson: dnsJson,
        id: (row) => `${row.name}.${row.networkName}`,
      });
    });
}

/** Before anybody is asked. Names that are given whole are left to the agent, which knows the network's name where `network` is its id. */
function checkTyped(network: string, names: readonly string[], check: (owner: { readonly name: string }) => unknown) {
  const isWhole = (name: string) => name === network || name.replace(/\.$/, '').endsWith(`.${DOMAIN}`);
  checkLocally(() => {
    try {
      check({ name: network });
    } catch (error) {
      if (!isOverlaydError(error, 'invalid-name') || !names.some(isWhole)) throw error;
    }
  });
}

function ttlText({ ttlSeconds }: DnsSet): string {
  return ttlSeconds === undefined ? '' : formatDuration(ttlSeconds * 1_000);
}

function dnsJson({ name, networkId, networkName, takenBy, ttlSeconds, type, values }: DnsSet) {
  return {
    Network: networkName,
    NetworkID: networkId,
    Name: name,
    Type: type,
    /** Seconds. Null: as containers' names. */
    TTL: ttlSeconds ?? null,
    Values: values,
    /** The container that goes by the name, in words; empty: none does. */
    AnsweredInstead: takenBy,
  };
}

/** Milliseconds. */
function parseTtl(text: string): number {
  const value = parseDuration(text);
  if (value === undefined || value % 1_000 !== 0 || value > 86_400_000) {
    throw new InvalidArgumentError('Write a duration of whole seconds, like 30s or 1h, of at most 1d.');
  }
  return value;
}
