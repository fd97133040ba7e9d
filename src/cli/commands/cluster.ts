/** `init`, `join` and `leave`. */
import type { Command } from 'commander';
import { parsePools } from '../../core/ipam/default-pools.ts';
import { parseToken } from '../../core/token.ts';
import type { ClusterResult, InitRequest, JoinClusterRequest } from '../../gen/overlayd/v1/control.ts';
import {
  checkNodeLabels,
  collect,
  collectPairs,
  type Pairs,
  parseAddressOrInterface,
  parseEncrypt,
  parseMaskLength,
  parseMemberAddress,
  parseNodeName,
  parsePool,
  parsePort,
  parseStoreMembers,
  parseWireguardPort,
} from '../argument.ts';
import type { ControlClient, OnProgress } from '../client.ts';
import { addEtcdOptions, type EtcdOptions, etcdRequest, readInput } from '../etcd-options.ts';
import { checkLocally, UsageError } from '../exit.ts';
import { addJsonOption, printJson } from '../output.ts';
import type { Session } from '../session.ts';

const DEFAULT_JOIN_PORT = 2377;

interface HostOptions {
  readonly advertiseAddr?: string;
  readonly dataPathAddr?: string;
  readonly dataPathPort?: number;
  readonly listenAddr?: string;
  readonly joinPort?: number;
  readonly gossipPort?: number;
  readonly wireguardPort?: number;
  readonly name?: string;
  readonly label?: Pairs;
  readonly format: 'text' | 'json';
}

interface InitOptions extends HostOptions, EtcdOptions {
  readonly fromBackup?: string;
  readonly defaultAddrPool?: readonly string[];
  readonly defaultAddrPoolMaskLength?: number;
  readonly encrypt?: string | true;
  readonly storeMembers?: number;
}

interface JoinOptions extends HostOptions {
  readonly token?: string;
  readonly tokenFile?: string;
  readonly nat?: boolean;
}

interface LeaveOptions {
  readonly force?: boolean;
  readonly yesDeleteCluster?: boolean;
  readonly format: string;
}

export function addClusterCommands(program: Command, session: Session): void {
  addInit(program, session);
  addJoin(program, session);
  addLeave(program, session);
}

function addInit(program: Command, session: Session): void {
  const command = program.command('init').description('Create a cluster with this host as its first member');
  addEtcdOptions(addHostOptions(command), "the cluster's own etcd; without it this host runs one")
    .option('--from-backup <file>', "take over the networks of another cluster's backup, with nobody on them")
    .option(
      '--default-addr-pool <cidr>',
      'where automatic subnets of IPv4 come from; may be repeated (default: 10.0.0.0/8, then 172.16.0.0/12 and 192.168.0.0/16)',
      collect(parsePool),
    )
    .option('--default-addr-pool-mask-length <length>', 'size of automatic subnets (default: 24)', parseMaskLength)
    .option(
      '--encrypt [mode]',
      'make networks encrypted that do not say otherwise; --encrypt=required refuses others',
      parseEncrypt,
    )
    .option(
      '--store-members <count>',
      'how many hosts keep etcd, 1, 3 or 5; the next that join become such by themselves (default: 3)',
      parseStoreMembers,
    );
  addJsonOption(command)
    .addHelpText(
      'after',
      `
Examples:
  overlayd init --advertise-addr 192.0.2.1
  overlayd init --advertise-addr 2001:db8::1
  overlayd init --advertise-addr eth1 --default-addr-pool 172.30.0.0/16 --default-addr-pool-mask-length 26
  overlayd init --advertise-addr 192.0.2.1 --store-members 5
  overlayd init --encrypt --advertise-addr 203.0.113.1
  overlayd init --encrypt=required --wireguard-port 51850
  overlayd init --etcd https://192.0.2.5:2379,https://192.0.2.6:2379 --etcd-ca ca.pem --etcd-cert c.pem --etcd-key k.pem`,
    )
    .action(async (options: InitOptions) => {
      const request = await initRequest(options, session);
      const result = await session.ask('creating the cluster', (client, report) => client.initCluster(request, report));
      session.warn(result.warnings);
      if (options.format === 'json') return printResult(session, result);
      session.print(`Cluster ${result.clusterId} created; this node ${result.nodeName} is its first member.`);
      session.print(`To add a host, run there:\n\n    ${result.joinCommand}\n`);
    });
}

function addJoin(program: Command, session: Session): void {
  const command = program
    .command('join')
    .description('Make this host a member of a cluster')
    .argument('<address[:port]>', `any member of the cluster (default port: ${DEFAULT_JOIN_PORT})`)
    .option('--token <token>', 'what `overlayd init` or `overlayd token create` printed')
    .option('--token-file <file>', 'read the token from a file, - for standard input: it stays out of the process list')
    .option(
      '--nat',
      'this host is behind NAT: members cannot call it, it calls them (default: the member that admits it finds out)',
    )
    .option('--no-nat', 'members reach this host at its address, whatever the member that admits it sees');
  addJsonOption(addHostOptions(command))
    .addHelpText(
      'after',
      `
Examples:
  overlayd join --token OVLTKN-1-... 192.0.2.1:2377
  overlayd join --token OVLTKN-1-... [2001:db8::1]:2377
  overlayd join --token OVLTKN-1-... --nat 192.0.2.1
  ssh host1 overlayd token create -q | overlayd join --token-file - 192.0.2.1`,
    )
    .action(async (address: string, options: JoinOptions) => {
      const request: JoinClusterRequest = {
        ...hostRequest(options),
        address: parseMemberAddress(address, DEFAULT_JOIN_PORT),
        token: await readToken(options, session),
        nat: options.nat,
      };
      const result = await session.ask(`joining through ${request.address}`, (client, report) =>
        client.joinCluster(request, report),
      );
      session.warn(result.warnings);
      if (options.format === 'json') return printResult(session, result);
      session.print(`This node ${result.nodeName} joined cluster ${result.clusterId}.`);
    });
}

function addLeave(program: Command, session: Session): void {
  addJsonOption(
    program
      .command('leave')
      .description('Take this host out of its cluster')
      .option(
        '--force',
        'leave even with containers connected, which are cut off, with the cluster out of reach, or without an agent',
      )
      .option('--yes-delete-cluster', "on the host of the cluster's only etcd: delete the cluster for all its hosts"),
  )
    .addHelpText(
      'after',
      `
The node stays listed as down until \`overlayd node rm\` removes it on another member.
A host that keeps the store hands over to another one first. Where no other host
can, it leaves last: with members or networks left it refuses, by --force too.

Examples:
  overlayd leave
  overlayd leave --force`,
    )
    .action(async ({ force = false, yesDeleteCluster: deleteCluster = false, format }: LeaveOptions) => {
      const leave = (client: ControlClient, report: OnProgress) =>
        client.leaveCluster({ force, deleteCluster }, report);
      const waiting = 'leaving the cluster';
      const result = await (force ? session.askAnyway(waiting, leave) : session.ask(waiting, leave));
      session.warn(result.warnings);
      if (format === 'json') return printResult(session, result);
      session.print(`This node ${result.nodeName} left cluster ${result.clusterId}.`);
    });
}

function addHostOptions(command: Command): Command {
  return command
    .option(
      '--advertise-addr <ip|interface>',
      'where other members reach this host; may be left out where there is one choice only',
      parseAddressOrInterface,
    )
    .option(
      '--data-path-addr <ip|interface>',
      "where containers' traffic goes (default: as --advertise-addr)",
      parseAddressOrInterface,
    )
    .option('--data-path-port <port>', "UDP port of containers' traffic (default: as configured, 4789)", parsePort)
    .option(
      '--listen-addr <ip|interface>',
      'where to listen for members and joining hosts (default: all addresses)',
      parseAddressOrInterface,
    )
    .option(
      '--join-port <port>',
      `TCP port for joining hosts (default: as configured, ${DEFAULT_JOIN_PORT})`,
      parsePort,
    )
    .option('--gossip-port <port>', 'TCP port for the other members (default: as configured, 7946)', parsePort)
    .option(
      '--wireguard-port <port>',
      'UDP port of encrypted networks, with the next one (default: as configured, 51840)',
      parseWireguardPort,
    )
    .option('--name <name>', "the node's name (default: the host name)", parseNodeName)
    .option('--label <key=value>', 'label of the node; may be repeated', collectPairs);
}

function hostRequest(options: HostOptions): Omit<JoinClusterRequest, 'token' | 'address'> {
  return {
    advertiseAddr: options.advertiseAddr ?? '',
    dataPathAddr: options.dataPathAddr ?? '',
    dataPathPort: options.dataPathPort ?? 0,
    listenAddr: options.listenAddr ?? '',
    joinPort: options.joinPort ?? 0,
    gossipPort: options.gossipPort ?? 0,
    wireguardPort: options.wireguardPort ?? 0,
    name: options.name ?? '',
    labels: { ...checkNodeLabels(options.label) },
  };
}

async function initRequest(options: InitOptions, session: Session): Promise<InitRequest> {
  const { defaultAddrPool = [], defaultAddrPoolMaskLength = 0 } = options;
  // Another cluster's, where nothing is said of them.
  if (defaultAddrPool.length > 0 || options.fromBackup === undefined)
    checkLocally(() => parsePools(defaultAddrPool, defaultAddrPoolMaskLength));
  return {
    ...hostRequest(options),
    ...(await etcdRequest(options, session)),
    defaultAddrPool: [...defaultAddrPool],
    defaultAddrPoolMaskLength,
    encrypt: options.encrypt === true ? 'default' : (options.encrypt ?? ''),
    storeMembers: options.storeMembers ?? 0,
    backup: options.fromBackup === undefined ? '' : await readInput(session, '--from-backup', options.fromBackup),
  };
}

async function readToken({ token, tokenFile }: JoinOptions, session: Session): Promise<string> {
  if ((token === undefined) === (tokenFile === undefined)) {
    throw new UsageError(
      token === undefined
        ? 'give --token or --token-file; `overlayd token create` on a member prints the whole join line'
        : '--token and --token-file say the same thing twice; give one of them',
    );
  }
  const text = (token ?? (await readInput(session, '--token-file', tokenFile!))).trim();
  checkLocally(() => parseToken(text));
  return text;
}

function printResult(session: Session, result: ClusterResult): void {
  printJson(session, {
    ClusterID: result.clusterId,
    NodeID: result.nodeId,
    NodeName: result.nodeName,
    ...(result.joinCommand === '' ? {} : { JoinCommand: result.joinCommand }),
    Warnings: result.warnings,
  });
}
