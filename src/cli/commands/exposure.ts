/** `network expose` and `network unexpose`: this host itself on a network. */
import type { Command } from 'commander';
import { familyOf, formatIp, requireIp } from '../../core/ip.ts';
import { checkEndpointName } from '../../core/names.ts';
import type { Exposed } from '../../gen/overlayd/v1/control.ts';
import { collect, parseAddress } from '../argument.ts';
import { checkLocally, UsageError } from '../exit.ts';
import { endpointJson } from '../network-json.ts';
import { addJsonOption, printJson } from '../output.ts';
import type { Session } from '../session.ts';

interface ExposeOptions {
  readonly address?: readonly string[];
  readonly name?: string;
  readonly alias?: readonly string[];
  readonly format: 'text' | 'json';
}

export function addExpose(network: Command, session: Session): void {
  addJsonOption(
    network
      .command('expose')
      .description('Give this host itself an address and names on a network')
      .argument('<network>', 'name, id or beginning of an id')
      .option(
        '--address <ip>',
        'its address there (default: the next free one); may be repeated, one of each family',
        collect((text) => formatIp(requireIp(parseAddress(text), '--address'))),
      )
      .option('--name <name>', "the name that resolves to it (default: the host's)", parseName('--name'))
      .option('--alias <name>', 'another name, which others may share; may be repeated', collect(parseName('--alias'))),
  )
    .addHelpText(
      'after',
      `
The host's programs reach all containers of the network, on all hosts, and containers reach the host by its name there.
Nothing is forwarded by it between networks. It stays until it is taken back, over restarts and reboots. Prints the
addresses, IPv4 first, one a line.

Examples:
  overlayd network expose web
  overlayd network expose --address 10.20.0.5 --name office-host office
  overlayd network expose --address 10.20.0.5 --address fd00:20::5 dual
  overlayd network unexpose web`,
    )
    .action(async (networkRef: string, options: ExposeOptions) => {
      const exposed = await session.ask(`putting this host on ${networkRef}`, (client) =>
        client.expose({
          network: networkRef,
          name: options.name ?? '',
          aliases: [...(options.alias ?? [])],
          ip: addressOf(options.address, 4),
          ip6: addressOf(options.address, 6),
        }),
      );
      if (options.format === 'json') {
        printJson(session, exposedJson(exposed));
        return;
      }
      for (const { address } of exposed.endpoint?.addresses ?? []) session.print(address);
      for (const line of namesHint(exposed)) session.note(line);
    });
}

export function addUnexpose(network: Command, session: Session): void {
  network
    .command('unexpose')
    .description("Take this host's own address on a network away")
    .argument('<network>', 'name, id or beginning of an id')
    .addHelpText('after', '\nExamples:\n  overlayd network unexpose web')
    .action(async (networkRef: string) => {
      await session.ask(`taking this host off ${networkRef}`, (client) => client.unexpose({ ref: networkRef }));
    });
}

function addressOf(addresses: readonly string[] = [], family: 4 | 6): string {
  const [first = '', second] = addresses.filter((address) => familyOf(address) === family);
  if (second === undefined) return first;
  throw new UsageError(`--address ${first} and --address ${second} are both of IPv${family}; give one of each family`);
}

/** Where the host's resolver could not be told, what a person may tell it. */
function namesHint({ domain, nameServers, namesAsked }: Exposed): string[] {
  if (namesAsked) return [];
  const [server = ''] = nameServers;
  return [
    `to find its names from this host, by NAME.${domain}, have its resolver ask ${nameServers.join(' or ')} for that domain:`,
    `  dnsmasq:          server=/${domain}/${server}`,
    `  /etc/resolv.conf: nameserver ${server}   (first of all; what is no name of the cluster is asked of the others)`,
  ];
}

function exposedJson({ endpoint, nameServers, domain, namesAsked }: Exposed) {
  return {
    ...(endpoint && endpointJson(endpoint)),
    NameServers: nameServers,
    Domain: domain,
    NamesAsked: namesAsked,
  };
}

function parseName(option: string): (text: string) => string {
  return (text) => checkLocally(() => checkEndpointName(text, option));
}
