/**
 * `ipam check` and `ipam repair`: what etcd holds of addresses, compared with itself and with this host's endpoints.
 * `ipam release`: what a network keeps for a name.
 */
import { type Command, Option } from 'commander';
import type { IpamFinding, IpamReport } from '../../gen/overlayd/v1/control.ts';
import { EXIT, PartialFailure } from '../exit.ts';
import { type AnswerFormat, addAnswerOption, printAnswer } from '../output.ts';
import type { Session } from '../session.ts';
import { renderFacts } from '../table.ts';

interface IpamOptions {
  readonly network?: string;
  readonly format: AnswerFormat;
}

const KINDS = `
leaked      nobody's any more: of no endpoint, of a host that is no member, of a network that is gone
missing     an endpoint without its claim or its record, whose agent writes it again by itself
duplicate   two endpoints with one address, or one MAC address
foreign     outside of its network's subnets, or claimed for another endpoint than the one that has it
unreadable  nothing is known of it, and nothing is done to it`;

export function addIpamCommands(program: Command, session: Session): void {
  const ipam = program.command('ipam').description('Look after what etcd holds of addresses');
  addCheck(ipam, session);
  addRepair(ipam, session);
  addRelease(ipam, session);
}

function addCheck(ipam: Command, session: Session): void {
  addScope(ipam.command('check').description('Find addresses that leaked, are missing, twice or out of place'))
    .addHelpText(
      'after',
      `${KINDS}

Exit codes: ${EXIT.ok} nothing was found, ${EXIT.failure} something was.

Examples:
  overlayd ipam check
  overlayd ipam check --network web --format json`,
    )
    .action(async ({ format, network = '' }: IpamOptions) => {
      const report = await session.ask('reading what etcd holds', (client) => client.checkIpam({ network }));
      print(session, format, report);
    });
}

function addRepair(ipam: Command, session: Session): void {
  addScope(ipam.command('repair').description("Take away what check finds to be nobody's, and nothing else"))
    .addOption(new Option('--dry-run', 'print what would be done, and write nothing'))
    .addHelpText(
      'after',
      `
Of other members nothing is touched: their agents put most of it right, this command there the rest (docs/operations.md).

Exit codes: ${EXIT.ok} nothing is left, ${EXIT.failure} something is.

Examples:
  overlayd ipam repair --dry-run
  overlayd ipam repair --network web`,
    )
    .action(async ({ dryRun = false, format, network = '' }: IpamOptions & { readonly dryRun?: boolean }) => {
      const report = await session.ask('reading what etcd holds', (client) =>
        dryRun ? client.checkIpam({ network }) : client.repairIpam({ network }),
      );
      print(session, format, report);
    });
}

function addRelease(ipam: Command, session: Session): void {
  ipam
    .command('release')
    .description('Give back what a network with -o sticky=true keeps for a name')
    .argument('<network>')
    .argument('<name|address>', 'a name of which no container is connected, or one of the addresses kept for it')
    .addHelpText(
      'after',
      `
Prints the addresses, which anybody may have from now on. \`overlayd network inspect\` shows what is kept.

Examples:
  overlayd ipam release web db
  overlayd ipam release web 10.0.0.5`,
    )
    .action(async (network: string, ref: string) => {
      const { kept } = await session.ask('giving the addresses back', (client) => client.releaseKept({ network, ref }));
      for (const address of kept.flatMap(({ addresses }) => addresses)) session.print(address);
    });
}

function addScope(command: Command): Command {
  return addAnswerOption(
    command.addOption(new Option('--network <network>', 'of that network alone; of one that is gone by its id')),
  );
}

/** Throws {@link PartialFailure} when something is left. */
function print(session: Session, format: AnswerFormat, { findings, revision }: IpamReport): void {
  const left = findings.filter(({ outcome }) => outcome !== 'repaired');
  if (format !== 'text') printAnswer(session, format, { Revision: revision, Findings: findings.map(findingJson) });
  else {
    for (const finding of findings) session.print(`${renderFinding(finding)}\n`);
    session.print(summary(findings, left, revision));
  }
  if (left.length > 0) throw new PartialFailure();
}

function renderFinding({ kind, key, mend, outcome, owner, what }: IpamFinding): string {
  return renderFacts([
    [kind, key],
    ['what', what],
    ['owner', owner === '' ? 'nobody' : owner],
    ['repair', outcome === 'changed' ? 'not done, as it has changed meanwhile: check again' : mend],
    ...(outcome === 'repaired' ? [['done', 'yes'] as const] : []),
  ]);
}

function summary(findings: readonly IpamFinding[], left: readonly IpamFinding[], revision: number): string {
  const repairable = left.filter(({ outcome }) => outcome === 'repairable').length;
  const repaired = findings.length - left.length;
  if (findings.length === 0) return `Nothing found at revision ${revision} of etcd.`;
  const counts = [
    `${findings.length} found at revision ${revision} of etcd`,
    ...(repairable > 0 ? [`\`overlayd ipam repair\` mends ${repairable}`] : []),
    ...(repaired > 0 ? [`${repaired} repaired`] : []),
  ];
  return `${counts.join(', ')}.`;
}

function findingJson({ kind, key, mend, networkId, networkName, outcome, owner, what }: IpamFinding) {
  return {
    ...{ Kind: kind, Key: key, Network: networkName, NetworkID: networkId },
    ...{ What: what, Owner: owner, Repair: mend, Outcome: outcome },
  };
}
