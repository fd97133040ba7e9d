/** `network create`, `ls`, `inspect`, `subnet add`, `rm` and `prune`; `connect` and `disconnect` are in `attachment.ts`. */
import { type Command, Option } from 'commander';
import { isOverlaydError } from '../../core/errors.ts';
import { checkNetworkRequest, checkSubnetRequest } from '../../core/network-request.ts';
import type { CreateNetworkRequest, Network } from '../../gen/overlayd/v1/control.ts';
import {
  collect,
  collectAddresses,
  collectPairs,
  type Pairs,
  parseAddress,
  parseSubnet,
  refuseOption,
} from '../argument.ts';
import { forEach } from '../each.ts';
import { checkLocally, UsageError } from '../exit.ts';
import { FilterOption } from '../filter.ts';
import { inspectEach } from '../inspect.ts';
import { NETWORK_FILTERS, parsePruneFilter } from '../network-filter.ts';
import { DRIVER, networkInspection, networkRow, SCOPE } from '../network-json.ts';
import { addInspectOption, addListOptions, type Format, type ListOptions, printListing } from '../output.ts';
import type { Session } from '../session.ts';
import { shortId } from '../table.ts';
import { addConnect, addDisconnect } from './attachment.ts';
import { addExpose, addUnexpose } from './exposure.ts';

interface CreateOptions {
  readonly attachable?: boolean;
  readonly internal?: boolean;
  readonly ipv4?: boolean;
  readonly ipv6?: boolean;
  readonly subnet?: readonly string[];
  readonly gateway?: readonly string[];
  readonly ipRange?: readonly string[];
  readonly auxAddress?: Pairs;
  readonly label?: Pairs;
  readonly opt?: Pairs;
}

export function addNetworkCommands(program: Command, session: Session): void {
  const network = program.command('network').description('Make networks and connect containers to them');
  addCreate(network, session);
  addConnect(network, session);
  addDisconnect(network, session);
  addExpose(network, session);
  addUnexpose(network, session);
  addList(network, session);
  addInspect(network, session);
  addSubnetAdd(network, session);
  addRemove(network, session);
  addPrune(network, session);
}

function addCreate(network: Command, session: Session): void {
  const command = network
    .command('create')
    .description('Make a network that every host of the cluster can use at once')
    .argument('<name>')
    .option('--attachable', 'containers may be connected, as is the default; --attachable=false refuses them')
    // What `--attachable=false` becomes before it is read.
    .addOption(new Option('--no-attachable').hideHelp())
    .option('--internal', 'no way out of the network: no default route, no forwarding of names')
    .option('--ipv6', 'containers get an address of IPv6 too')
    .option('--ipv4', 'containers get an address of IPv4, as is the default; --ipv4=false with --ipv6 gives them none')
    // What `--ipv4=false` becomes before it is read.
    .addOption(new Option('--no-ipv4').hideHelp())
    .option(
      '--subnet <cidr>',
      "the network's addresses, of each family filled in this order; may be repeated (default: the next free one)",
      collect(parseSubnet),
    )
    .option(
      '--gateway <ip>',
      'address of the gateway (default: the first one); may be repeated, one for each subnet',
      collect(parseAddress),
    )
    .option(
      '--ip-range <cidr>',
      'where automatic addresses come from, within a subnet; may be repeated',
      collect(parseSubnet),
    )
    .option('--aux-address <name=ip>', 'address to keep free; may be repeated', collectAddresses)
    .option('--label <key=value>', 'label of the network; may be repeated', collectPairs)
    .option('-o, --opt <key=value>', 'option of the network, like mtu=1400; may be repeated', collectPairs)
    .option('-d, --driver <driver>', 'overlay or overlayd, there is no other', parseDriver)
    .option('--scope <scope>', 'global, there is no other', parseScope)
    .option('--ipam-driver <driver>', 'default or overlayd, there is no other', parseIpamDriver)
    .addHelpText(
      'after',
      `
Prints the network's id. Options of -o, for which Docker's long names serve as well:
  mtu, com.docker.network.driver.mtu, vxlanid_list, enable_icc, enable_ip_masquerade, gateway_mode_ipv4,
  gateway_mode_ipv6, container_iface_prefix, dns, multicast, multicast_rate, sticky, vip, encrypted (docs/networks.md)

Examples:
  overlayd network create web
  overlayd network create -o enable_icc=false tenants
  overlayd network create -o dns=192.0.2.53,192.0.2.54:5353 corp
  overlayd network create --subnet 10.20.0.0/24 --gateway 10.20.0.254 --aux-address printer=10.20.0.9 office
  overlayd network create --subnet 10.20.0.0/24 --subnet 10.21.0.0/24 --gateway 10.21.0.254 campus
  overlayd network create --ipv6 dual
  overlayd network create --ipv6 --subnet 10.22.0.0/24 --subnet 2001:db8:22::/64 -o gateway_mode_ipv6=routed site
  overlayd network create --ipv4=false --ipv6 six
  overlayd network create -o encrypted ledger
  overlayd network create --internal --label team=data -o mtu=1400 db`,
    );
  refuseOption(command, '--ingress', 'there are no services whose ports a routing mesh could publish');
  refuseOption(command, '--config-only', 'give the options to each network; a Compose file can share them');
  refuseOption(command, '--config-from <network>', 'give the options to each network; a Compose file can share them');
  refuseOption(
    command,
    '--ipam-opt <key=value>',
    "overlayd's addresses have no options; --subnet, --ip-range and --aux-address say what they are",
  );
  command.action(async (name: string, options: CreateOptions) => {
    const request: CreateNetworkRequest = {
      name,
      ...(options.attachable === undefined ? {} : { attachable: options.attachable }),
      internal: options.internal ?? false,
      ...(options.ipv4 === undefined ? {} : { ipv4: options.ipv4 }),
      ipv6: options.ipv6 ?? false,
      subnets: [...(options.subnet ?? [])],
      gateways: [...(options.gateway ?? [])],
      ipRanges: [...(options.ipRange ?? [])],
      auxAddresses: { ...options.auxAddress },
      labels: { ...options.label },
      options: { ...options.opt },
    };
    checkLocally(() => checkNetworkRequest(request));
    const { id } = await session.ask(`creating network ${name}`, (client) => client.createNetwork(request));
    session.print(id);
  });
}

function parseDriver(text: string): string {
  if (text === 'overlay' || text === 'overlayd') return text;
  throw new UsageError(`--driver ${text} is not supported: overlayd makes overlay networks; leave --driver out`);
}

function parseScope(text: string): string {
  if (text === SCOPE) return text;
  throw new UsageError(
    `--scope ${text} is not supported: every network is seen on every host of the cluster; leave --scope out`,
  );
}

function parseIpamDriver(text: string): string {
  if (text === 'default' || text === DRIVER) return text;
  throw new UsageError(`--ipam-driver ${text} is not supported: overlayd gives the addresses; leave --ipam-driver out`);
}

function addList(network: Command, session: Session): void {
  addListOptions(network.command('ls').alias('list').description('List the networks'), NETWORK_FILTERS)
    .addHelpText(
      'after',
      "\nExamples:\n  overlayd network ls --filter label=team=data\n  overlayd network ls --format '{{.Name}}\\t{{.Subnets}}'",
    )
    .action(async (options: ListOptions) => {
      const { networks } = await session.ask('waiting for the agent', (client) => client.listNetworks({}));
      printListing(session, options, {
        rows: networks,
        filters: NETWORK_FILTERS,
        columns: [
          { heading: 'NETWORK ID', cell: (row) => shortId(row.id, !options.trunc) },
          { heading: 'NAME', cell: (row) => row.name },
          { heading: 'SUBNET', cell: (row) => row.subnets.map(({ cidr }) => cidr).join(',') },
          { heading: 'VNI', cell: (row) => String(row.vni) },
          { heading: 'ENDPOINTS', cell: (row) => String(row.endpointCount) },
          { heading: 'STATE', cell: stateText },
        ],
        toJson: networkRow,
        id: (row) => row.id,
      });
    });
}

/** e.g. `active (internal, encrypted)`. */
function stateText({ state, internal, encrypted }: Network): string {
  const more = [...(internal ? ['internal'] : []), ...(encrypted ? ['encrypted'] : [])];
  return more.length === 0 ? state : `${state} (${more.join(', ')})`;
}

function addInspect(network: Command, session: Session): void {
  addInspectOption(network.command('inspect').description("Show all that is known of networks, as JSON like Docker's"))
    .argument('<network...>', 'name, id or beginning of an id')
    // Docker's, which tells more of some networks: all is told anyway.
    .addOption(new Option('-v, --verbose').hideHelp())
    .addHelpText(
      'after',
      "\nContainers lists the endpoints of all nodes, by endpoint id.\n\nExamples:\n  overlayd network inspect web\n  overlayd network inspect -f '{{.Mtu}} {{.Addresses.Free}}' web db",
    )
    .action(async (refs: string[], { format }: { format?: Format }) => {
      await inspectEach(session, refs, format, (client, ref) => client.getNetwork({ ref }), networkInspection);
    });
}

function addSubnetAdd(network: Command, session: Session): void {
  const subnet = network.command('subnet').description('Give networks more addresses');
  subnet
    .command('add')
    .description(
      'Add a subnet to a network; its containers stay connected, new ones get addresses of it when the others of its family are full',
    )
    .argument('<network>', 'name, id or beginning of an id')
    .argument('<cidr>', 'the subnet, like 10.21.0.0/24 or fd00:21::/64', parseSubnet)
    .option('--gateway <ip>', 'address of the gateway (default: the first one)', parseAddress)
    .option('--ip-range <cidr>', 'where automatic addresses come from, within the subnet', parseSubnet)
    .addHelpText(
      'after',
      `
Prints the network's subnets. None can be taken away again but with the network. With the first one of a family the
network has that family: containers that connect from then on get an address of it. Networks in Docker keep the subnets
that they were made with: containers get addresses of all, but --ip of those alone (docs/docker.md).

Examples:
  overlayd network subnet add web 10.21.0.0/24
  overlayd network subnet add --gateway 10.21.0.254 --ip-range 10.21.0.64/26 web 10.21.0.0/24
  overlayd network subnet add web fd00:21::/64`,
    )
    .action(async (name: string, cidr: string, options: { readonly gateway?: string; readonly ipRange?: string }) => {
      const { gateway = '', ipRange = '' } = options;
      checkLocally(() => checkSubnetRequest({ subnet: cidr, ...options }));
      const { subnets } = await session.ask('adding the subnet', (client) =>
        client.addSubnet({ network: name, subnet: cidr, gateway, ipRange }),
      );
      for (const each of subnets) session.print(each.cidr);
    });
}

function addRemove(network: Command, session: Session): void {
  network
    .command('rm')
    .aliases(['remove', 'delete'])
    .description('Remove networks that no container is connected to')
    .argument('<network...>', 'name, id or beginning of an id')
    .option('-f, --force', 'a network that does not exist is no error')
    .addHelpText('after', '\nExamples:\n  overlayd network rm web\n  overlayd network rm -f web db')
    .action(async (refs: string[], { force = false }: { force?: boolean }) => {
      await session.ask('removing the network', (client) =>
        forEach(session, refs, async (ref) => {
          const removed = await client.removeNetwork({ ref, force }).catch((error: unknown) => {
            if (force && isOverlaydError(error, 'network-not-found')) return undefined;
            throw error;
          });
          if (removed) session.print(ref);
          if (removed && removed.waitingFor.length > 0) {
            session.note(`network ${removed.name}: its VNI and subnet are free when ${tornDownBy(removed.waitingFor)}`);
          }
        }),
      );
    });
}

function addPrune(network: Command, session: Session): void {
  network
    .command('prune')
    .description('Remove all networks that no container is connected to')
    .option('-f, --force', 'do not ask')
    .addOption(
      new FilterOption(
        '--filter <key=value>',
        'only those that fit: until=24h, label=KEY[=VALUE], label!=KEY[=VALUE]; may be repeated',
        ['until=', 'label=', 'label!='],
      ).argParser(collect(parsePruneFilter)),
    )
    .addHelpText(
      'after',
      '\nExamples:\n  overlayd network prune\n  overlayd network prune -f --filter until=24h --filter label!=keep',
    )
    .action(async (options: { force?: boolean; filter?: readonly string[] }) => {
      const filters = [...(options.filter ?? [])];
      const which = filters.length === 0 ? '' : ` that fit ${filters.join(' and ')}`;
      const warning = `This removes all networks${which} that no container on any host is connected to.`;
      if (!options.force && !(await session.confirm(warning, '--force'))) return session.note('nothing was done');
      const { names, waitingFor } = await session.ask('removing unused networks', (client) =>
        client.pruneNetworks({ filters }),
      );
      for (const name of names) session.print(name);
      if (waitingFor.length > 0) session.note(`VNIs and subnets are free when ${tornDownBy(waitingFor)}`);
    });
}

function tornDownBy(nodes: readonly string[]): string {
  return `${nodes.join(', ')} ${nodes.length > 1 ? 'have' : 'has'} torn down their part`;
}
