/** All commands together: argv in, exit code out. */
import { Command, type CommanderError } from 'commander';
import { renderAgentHelp } from '../core/config/reference.ts';
import { VERSION } from '../version.ts';
import { normaliseSwitches } from './argument.ts';
import { addCaCommands } from './commands/ca.ts';
import { addClusterCommands } from './commands/cluster.ts';
import { addCniCommands } from './commands/cni.ts';
import { addCompletionCommand } from './commands/completion.ts';
import { addDnsCommands } from './commands/dns.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addDriftCommand } from './commands/drift.ts';
import { addEndpointCommands } from './commands/endpoint.ts';
import { addEventsCommand } from './commands/events.ts';
import { addHelpCommand } from './commands/help.ts';
import { addHostCommands } from './commands/host.ts';
import { addInspectCommand } from './commands/inspect.ts';
import { addIpamCommands } from './commands/ipam.ts';
import { addNetworkCommands } from './commands/network.ts';
import { addNodeCommands } from './commands/node.ts';
import { addPodmanCommands } from './commands/podman.ts';
import { addPsCommand } from './commands/ps.ts';
import { addPublishCommands } from './commands/publish.ts';
import { addServiceCommands } from './commands/service.ts';
import { addStatusCommand } from './commands/status.ts';
import { addStoreCommands } from './commands/store.ts';
import { addTokenCommands } from './commands/token.ts';
import { addUiCommand } from './commands/ui.ts';
import { addUninstallCommand } from './commands/uninstall.ts';
import { EXIT, exitCodeOf } from './exit.ts';
import { type AnswerFormat, addAnswerOption, printAnswer } from './output.ts';
import { type GlobalOptions, Session, type Surroundings } from './session.ts';
import { refuseUnknownCommand } from './suggestion.ts';
import { wrapLines } from './wrap.ts';

type AddCommands = (program: Command, session: Session) => void;

/** All commands, as help lists them: heading, names that are typed first, and what makes them. */
const COMMANDS: readonly (readonly [group: string, names: readonly string[], add: AddCommands])[] = [
  ['Cluster:', ['init', 'join', 'leave'], addClusterCommands],
  ['Cluster:', ['status'], addStatusCommand],
  ['Cluster:', ['doctor'], addDoctorCommand],
  ['Cluster:', ['drift'], addDriftCommand],
  ['Cluster:', ['events'], addEventsCommand],
  ['Cluster:', ['ui'], addUiCommand],
  ['Cluster:', ['host'], addHostCommands],
  ['Cluster:', ['node'], addNodeCommands],
  ['Cluster:', ['token'], addTokenCommands],
  ['Cluster:', ['ca'], addCaCommands],
  ['Cluster:', ['store'], addStoreCommands],
  ['Networks:', ['network'], addNetworkCommands],
  ['Networks:', ['endpoint'], addEndpointCommands],
  ['Networks:', ['ps'], addPsCommand],
  ['Networks:', ['inspect'], addInspectCommand],
  ['Networks:', ['dns'], addDnsCommands],
  ['Networks:', ['service'], addServiceCommands],
  ['Networks:', ['publish'], addPublishCommands],
  ['Networks:', ['ipam'], addIpamCommands],
  ['This host:', ['cni'], addCniCommands],
  ['This host:', ['podman'], addPodmanCommands],
  ['This host:', ['agent'], addAgentCommand],
  ['This host:', ['version'], addVersionCommand],
  ['This host:', ['completion'], addCompletionCommand],
  ['This host:', ['uninstall'], addUninstallCommand],
  ['This host:', ['help'], addHelpCommand],
];

/** Those need them all. */
const ABOUT_ALL = ['completion', 'help'];

/** `args` is what follows the program's name. Never throws. */
export async function runCommand(args: readonly string[], surroundings: Surroundings): Promise<number> {
  try {
    const word = firstWord(args);
    const program = createProgram(surroundings, word, asksVersion(args, word));
    const line = normaliseSwitches(program, helpBehind(args));
    refuseUnknownCommand(program, line);
    await program.parseAsync(line, { from: 'user' });
    return EXIT.ok;
  } catch (error) {
    return exitCodeOf(error, surroundings.writeError);
  }
}

/** The first that may be a command: global options and their values come before it. */
function firstWord(args: readonly string[]): string | undefined {
  const at = args.findIndex((arg, i) => !arg.startsWith('-') && !GLOBAL_FLAGS.includes(args[i - 1] ?? ''));
  return args[at];
}

/** `--help network create` asks for the help of that command, and not for that of all. */
function helpBehind(args: readonly string[]): readonly string[] {
  const word = firstWord(args);
  const at = args.findIndex((arg) => arg === '-h' || arg === '--help');
  if (word === undefined || at < 0 || at > args.indexOf(word)) return args;
  return [...args.filter((arg, i) => i !== at && arg !== '--'), '--help'];
}

/** Behind a command it is none of ours: `docker network inspect -v` is something else. */
function asksVersion(args: readonly string[], word: string | undefined): boolean {
  const before = word === undefined ? args : args.slice(0, args.indexOf(word));
  return before.some((arg) => arg === '-v' || arg === '--version');
}

const GLOBAL_FLAGS = ['--run-dir', '--config'];

/** With `word`, where there is such a command, that one alone: most of the time of a short command goes into its start. */
export function createProgram(surroundings: Surroundings, word?: string, hasVersion = false): Command {
  const program = new Command('overlayd');
  const session = new Session(surroundings, { globals: () => program.opts<GlobalOptions>() });
  program
    .description('Layer-2 networks by name for containers on many hosts, without an orchestrator')
    .helpOption('-h, --help', 'print this text')
    .option('--run-dir <path>', "where the agent's socket is (default: /run/overlayd)")
    .option('--config <file>', 'configuration file (default: /etc/overlayd/overlayd.toml)')
    .configureOutput({
      // Of commander's own: help and version.
      writeOut: (text) => surroundings.writeOut(wrapLines(text, surroundings.columns)),
      writeErr: (text) => surroundings.writeError(wrapLines(text, surroundings.columns)),
      outputError: (text) => surroundings.writeError(text.replace(/^error: (command-(?=argument))?/, 'overlayd: ')),
      getOutHelpWidth: () => surroundings.columns,
      getErrHelpWidth: () => surroundings.columns,
      getOutHasColors: () => surroundings.terminal.output,
      getErrHasColors: () => surroundings.terminal.error,
    })
    .exitOverride((error: CommanderError) => {
      throw error;
    });
  if (hasVersion || word === undefined || ABOUT_ALL.includes(word))
    program.version(VERSION, '-v, --version', 'print the version');
  const named = COMMANDS.filter(([, names]) => word !== undefined && names.includes(word) && !ABOUT_ALL.includes(word));
  for (const [group, , add] of named.length > 0 ? named : COMMANDS) {
    program.commandsGroup(group);
    add(program, session);
  }
  program.addHelpText(
    'after',
    `
Examples:
  host1# overlayd init --advertise-addr 192.0.2.1
  host2# overlayd join --token OVLTKN-1-... 192.0.2.1:2377
  host1# overlayd network create web
  host1# overlayd network connect --name api web netns:c1

Exit codes: ${EXIT.ok} done, ${EXIT.failure} refused or failed, ${EXIT.usage} wrong command line, ${EXIT.noAgent} no agent is running here.`,
  );
  finish(program);
  return program;
}

/** Every error of usage names the command whose help to read. */
function finish(command: Command, path = command.name()): void {
  command.showHelpAfterError(`See '${path} --help'.`);
  command.configureHelp({ minWidthToWrap: 24, ...command.configureHelp() });
  command.helpCommand(false);
  for (const child of command.commands) finish(child, `${path} ${child.name()}`);
}

/** The launcher starts the agent without passing here, unless global options come first. */
function addAgentCommand(program: Command, session: Session): void {
  program
    .command('agent')
    .description('Run the agent of this host')
    .usage('[options]')
    .allowUnknownOption()
    .allowExcessArguments()
    .helpOption(false)
    .configureHelp({ formatHelp: renderAgentHelp })
    .action(async (_options: object, command: Command) => {
      const globals = [...session.globalFlags()].flat();
      await session.surroundings.runAgent([...globals, ...command.args]);
    });
}

function addVersionCommand(program: Command, session: Session): void {
  addAnswerOption(program.command('version').description('Print the version of this command'))
    .addHelpText(
      'after',
      "\n`overlayd status` shows the version of the running agent.\n\nExamples:\n  overlayd version\n  overlayd version --format json\n  overlayd version --format '{{.Version}}'",
    )
    .action(({ format }: { format: AnswerFormat }) => {
      if (format !== 'text') printAnswer(session, format, { Version: VERSION, Node: process.version });
      else session.print(`overlayd ${VERSION} (Node.js ${process.version})`);
    });
}
