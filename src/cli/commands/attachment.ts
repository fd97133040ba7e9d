/** `network connect` and `network disconnect`. */
import type { Command } from 'commander';
import { checkConnect } from '../../core/connect-options.ts';
import { parseEndpointPort } from '../../core/endpoint-ports.ts';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import { checkEndpointName } from '../../core/names.ts';
import type { ConnectRequest } from '../../gen/overlayd/v1/control.ts';
import {
  checkContainer,
  collect,
  collectPairs,
  type Pairs,
  parseIfname,
  parseMac,
  parsePriority,
  parseStaticAddress,
  refuseOption,
} from '../argument.ts';
import { checkLocally } from '../exit.ts';
import { endpointJson } from '../network-json.ts';
import { addJsonOption, printJson } from '../output.ts';
import type { Session } from '../session.ts';

interface ConnectOptions {
  readonly name?: string;
  readonly alias?: readonly string[];
  readonly ip?: string;
  readonly ip6?: string;
  readonly mac?: string;
  readonly ifname?: string;
  readonly gwPriority?: number;
  readonly driverOpt?: Pairs;
  readonly port?: readonly string[];
  readonly label?: Pairs;
  readonly format: 'text' | 'json';
}

export function addConnect(network: Command, session: Session): void {
  const command = addJsonOption(
    network
      .command('connect')
      .description('Connect a container of this host to a network')
      .argument('<network>', 'name, id or beginning of an id')
      .argument(
        '<container>',
        'name or id of a Docker container, netns:NAME (as `ip netns` lists it), netns:/PATH, pid:NUMBER, machine:NAME (of systemd-machined), lxc:NAME or incus:NAME',
      )
      .option('--name <name>', "the name that resolves to it (default: the namespace's name)", parseName('--name'))
      .option('--alias <name>', 'another name, which others may share; may be repeated', collect(parseName('--alias')))
      .option('--ip <ip>', 'its IPv4 address (default: the next free one)', parseStaticAddress(4))
      .option('--ip6 <ip>', 'its IPv6 address (default: the next free one)', parseStaticAddress(6))
      .option('--mac <mac>', "its MAC address (default: made from the address); not for Docker's containers", parseMac)
      .option(
        '--ifname <name>',
        'its interface in the container (default: the first free of eth0, eth1, …)',
        parseIfname,
      )
      .option(
        '--gw-priority <number>',
        'of its networks that lead out, that of the highest has its default route (default: 0, then by name)',
        parsePriority,
      )
      .option(
        '--driver-opt <key=value>',
        'com.docker.network.endpoint.ifname or .sysctls; may be repeated',
        collectPairs,
      )
      .option(
        '--port <port>',
        "a port that it listens on, as [name=]port[/tcp|udp], for SRV; may be repeated; not for Docker's containers",
        collect(parseDeclared),
      )
      .option('--label <key=value>', "may be repeated; not for Docker's containers", collectPairs),
  ).addHelpText(
    'after',
    `
Prints the addresses, IPv4 first, one a line.

Examples:
  overlayd network connect --alias backend web my-container
  overlayd network connect --name api --alias backend web netns:c1
  overlayd network connect --ip 10.20.0.50 --ifname lan0 office pid:4711
  overlayd network connect web machine:build
  overlayd network connect --ip 10.20.0.50 web incus:db
  overlayd network connect web lxc:db
  overlayd network connect --ip 10.20.0.50 --ip6 fd00:20::50 dual netns:c1
  overlayd network connect --port http=8080 --port dns=53/udp web netns:c1
  overlayd network connect --gw-priority 10 uplink netns:c1`,
  );
  refuseOption(command, '--link <container>', 'names of the network resolve by themselves; --alias gives more of them');
  refuseOption(command, '--link-local-ip <ip>', 'give --ip or --ip6 an address of the network');
  command.action(async (networkRef: string, container: string, options: ConnectOptions) => {
    const { name, mac, ifname, alias = [], driverOpt = {}, port = [], label = {} } = options;
    checkLocally(() =>
      checkConnect({ name, mac, ifname, aliases: alias, options: driverOpt, ports: port, labels: label }),
    );
    const request: ConnectRequest = {
      network: networkRef,
      container: checkContainer(container),
      name: name ?? '',
      aliases: [...alias],
      ip: options.ip ?? '',
      ip6: options.ip6 ?? '',
      mac: mac ?? '',
      ifname: ifname ?? '',
      gwPriority: options.gwPriority ?? 0,
      driverOpts: { ...driverOpt },
      ports: [...port],
      labels: { ...label },
    };
    const { endpoint, warnings } = await session
      .ask(`connecting ${container} to ${networkRef}`, (client) => client.connect(request))
      .catch(async (error: unknown) => {
        throw await meantNamespace(session, container, error);
      });
    session.warn(warnings);
    if (!endpoint) return;
    if (options.format === 'json') printJson(session, endpointJson(endpoint));
    else for (const { address } of endpoint.addresses) session.print(address);
  });
}

export function addDisconnect(network: Command, session: Session): void {
  network
    .command('disconnect')
    .description('Disconnect a container from a network')
    .argument('<network>', 'name, id or beginning of an id')
    .argument('<container>', 'as given to connect, or name or id of the endpoint')
    .option('-f, --force', 'also one whose host is down')
    .addHelpText(
      'after',
      '\nExamples:\n  overlayd network disconnect web netns:c1\n  overlayd network disconnect --force web shop',
    )
    .action(async (networkRef: string, container: string, { force = false }: { force?: boolean }) => {
      await session.ask(`disconnecting ${container} from ${networkRef}`, (client) =>
        client.disconnect({ network: networkRef, container, force }),
      );
    });
}

const NAMESPACES = '/run/netns';

/** Of a name without a word before it, which is no container of Docker's: that there is a namespace of that name. */
async function meantNamespace({ surroundings }: Session, container: string, error: unknown): Promise<unknown> {
  const isUnknown = isOverlaydError(error, 'engine-unavailable') || isOverlaydError(error, 'namespace-not-found');
  if (!isUnknown || !(await surroundings.files.list(NAMESPACES).catch((): string[] => [])).includes(container))
    return error;
  const { code, message, retryable } = error as OverlaydError;
  return new OverlaydError(code, `${message}. Did you mean netns:${container}?`, { cause: error, retryable });
}

function parseDeclared(text: string): string {
  checkLocally(() => parseEndpointPort(text));
  return text;
}

function parseName(option: string): (text: string) => string {
  return (text) => checkLocally(() => checkEndpointName(text, option));
}
