/** `host add`: another host made a member from here, over ssh. */
import type { Command } from 'commander';
import { collect, parseAddress, parseNodeName, parseSshOption } from '../argument.ts';
import { forEach } from '../each.ts';
import { UsageError } from '../exit.ts';
import { type AddedHost, type AddRequest, addHost, describePlan, withHost } from '../host/add.ts';
import type { RemoteFacts } from '../host/facts.ts';
import { requireRelease } from '../host/release.ts';
import { parseRemote } from '../host/remote.ts';
import { addJsonOption, printJson } from '../output.ts';
import type { Session } from '../session.ts';
import { printable } from '../table.ts';

interface AddOptions {
  readonly name?: string;
  readonly address?: string;
  readonly store?: boolean;
  readonly plain?: boolean;
  readonly package?: string;
  readonly identity?: string;
  readonly sshOption?: readonly string[];
  readonly print?: boolean;
  readonly format: 'text' | 'json';
}

export function addHostCommands(program: Command, session: Session): void {
  const host = program.command('host').description('Make other hosts members from here');
  addJsonOption(
    host
      .command('add')
      .description('Install overlayd on hosts over ssh, and have them join the cluster')
      .argument('<[user@]host[:port]...>', 'as ssh reaches it; the user is root, or sudo asks it for no password')
      .option('--name <name>', "the node's name (default: its host name)", parseNodeName)
      .option('--address <ip>', 'where members reach it (default: the address that ssh reached)', parseAddress)
      .option('--store', 'it is to keep the store')
      .option('--plain', 'it is never to keep the store')
      .option(
        '--package <file>',
        'the .deb or the archive to install (default: the release directory of a checkout, or what this host was installed from, put together again)',
      )
      .option('--identity <file>', 'private key for ssh (default: as ssh is configured)')
      .option('--ssh-option <name=value>', 'option for ssh, as in ssh_config; may be repeated', collect(parseSshOption))
      .option('--print', 'look at the host, show what would be done, and do nothing'),
  )
    .addHelpText(
      'after',
      `
Goes over the system's ssh, so its configuration, keys, agents and jump hosts hold; where there is no terminal it asks
nothing. Does what is missing, and says each step: copies the package there and installs it, makes a token for that
host alone, has it join, and waits until a packet has gone there by the data path and come back. Run again, it goes on
where it ended.

Examples:
  overlayd host add root@192.0.2.2
  overlayd host add --name host2 --address 10.0.0.2 admin@host2.example:2222
  overlayd host add --package ./overlayd_0.1.0_arm64.deb root@192.0.2.7
  overlayd host add --print root@192.0.2.2
  overlayd host add root@192.0.2.2 root@192.0.2.3`,
    )
    .action(async (places: string[], options: AddOptions) => {
      const requests = new Map(places.map((place) => [place, requestOf(place, options, session)]));
      checkOptions(places, options);
      const print = (added: readonly object[]) => {
        if (options.format === 'json') printJson(session, added);
      };
      await session.surroundings.untilInterrupted((signal) => {
        const work = (place: string) => add(session, place, { ...requests.get(place)!, signal }, options);
        return forEach(session, places, work, print, signal);
      });
    });
}

function checkOptions(places: readonly string[], { name, address, store, plain }: AddOptions): void {
  if (store && plain) throw new UsageError('--store and --plain say the opposite of each other; give one of them');
  if (places.length > 1 && (name ?? address) !== undefined) {
    throw new UsageError('--name and --address are of one host; add such hosts one by one');
  }
}

function requestOf(place: string, options: AddOptions, { surroundings }: Session): Omit<AddRequest, 'signal'> {
  const { name, address, identity, sshOption = [], store, plain } = options;
  return {
    ...{ name, address, keeps: store ? 'store' : plain ? 'nothing' : undefined },
    target: { ...parseRemote(place), identity, options: sshOption, interactive: surroundings.terminal.input },
    package: options.package === undefined ? undefined : { ...requireRelease(options.package), path: options.package },
  };
}

async function add(
  session: Session,
  place: string,
  request: AddRequest,
  { print, format }: AddOptions,
): Promise<object> {
  const isJson = format === 'json';
  const say = (line: string) => (isJson ? session.note(printable(line)) : session.print(printable(line)));
  return withHost(session, request, async (at) => {
    say(`${place} is ${factsText(at.facts)}`);
    if (print) {
      const steps = describePlan(request, at);
      if (!isJson) for (const [i, step] of steps.entries()) session.print(`  ${i + 1}. ${printable(step)}`);
      say('Nothing was changed.');
      return { Host: place, NodeName: at.plan.nodeName, Steps: steps };
    }
    const added = await addHost(session, request, at, (line) => say(`  ${line}`));
    say(`Node ${added.nodeName} is ${added.joined ? 'a member now' : 'a member'}.`);
    return addedJson(place, added);
  });
}

function factsText({ name, system, machine, version }: RemoteFacts): string {
  return `${name} (${[system, machine, version === undefined ? 'no overlayd' : `overlayd ${version}`].filter(Boolean).join(', ')})`;
}

function addedJson(place: string, { installed, joined, nodeName, path, pathSkipped }: AddedHost): object {
  return {
    Host: place,
    NodeName: nodeName,
    Installed: installed ?? '',
    Joined: joined,
    DataPath: path ? { RoundTripMs: path.roundTripMs, Mtu: path.mtu } : null,
    DataPathSkipped: pathSkipped,
  };
}
