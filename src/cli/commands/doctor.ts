/** `doctor`: what is wrong, looked for now, and what mends it. */
import type { Command } from 'commander';
import type { Check, Diagnosis, Finding } from '../../gen/overlayd/v1/control.ts';
import { VERSION } from '../../version.ts';
import { EXIT, PartialFailure } from '../exit.ts';
import { findingJson } from '../finding.ts';
import { type AnswerFormat, addAnswerOption, printAnswer } from '../output.ts';
import type { Session } from '../session.ts';
import { colour, printable, renderTable, type Tone } from '../table.ts';
import { age } from '../tunnel.ts';

interface DoctorOptions {
  readonly network?: string;
  readonly peer?: string;
  readonly format: AnswerFormat;
}

const TONES: Readonly<Record<string, Tone>> = { ok: 'good', problem: 'bad', skipped: 'warning' };

export function addDoctorCommand(program: Command, session: Session): void {
  addAnswerOption(program.command('doctor').description('Find out what is wrong with this host and its ways to others'))
    .option('--network <network>', 'look at this network alone')
    .option('--peer <node>', 'look at the ways to this node alone')
    .addHelpText(
      'after',
      `
Looks now, for some seconds, and changes nothing. Findings have the codes of docs/errors.md. Exits with ${EXIT.failure} when something
is wrong for certain; what is only suspected is told, and may be nothing.

Examples:
  overlayd doctor
  overlayd doctor --peer host2
  overlayd doctor --format json | jq -r '.Findings[].Code'`,
    )
    .action(async ({ network = '', peer = '', format }: DoctorOptions) => {
      const diagnosis = await session.ask('looking', (client) =>
        client.diagnose({ network, peer, commandVersion: VERSION }),
      );
      if (format !== 'text') printAnswer(session, format, diagnosisJson(diagnosis));
      else printDiagnosis(session, diagnosis);
      if (diagnosis.findings.some(({ certain }) => certain)) throw new PartialFailure();
    });
}

function printDiagnosis(session: Session, { checks, findings }: Diagnosis): void {
  const { environment, terminal, now } = session.surroundings;
  const colours = terminal.output && !environment.NO_COLOR;
  session.print(
    renderTable<Check>(
      [
        { heading: 'CHECK', cell: (row) => row.name },
        { heading: 'OUTCOME', cell: (row) => row.outcome },
        { heading: 'DETAIL', cell: (row) => row.detail },
      ],
      checks,
    ),
  );
  session.print('');
  if (findings.length === 0) session.print(colour('Nothing is wrong.', TONES.ok!, colours));
  for (const finding of findings) {
    const tone = finding.certain ? 'bad' : 'warning';
    session.print(colour(printable(headingOf(finding, now())), tone, colours));
    session.print(`  ${printable(finding.text)}`);
    session.print(`  Mend: ${printable(finding.mend)}`);
  }
}

function headingOf({ certain, code, sinceMs, subject }: Finding, now: number): string {
  const of = subject === '' ? 'this host' : subject;
  return `${certain ? 'Problem' : 'Suspected'}: ${code} (${of}), for ${age(Math.max(0, now - sinceMs))}`;
}

function diagnosisJson({ checks, findings }: Diagnosis) {
  return {
    Checks: checks.map(({ name, outcome, detail }) => ({ Name: name, Outcome: outcome, Detail: detail })),
    Findings: findings.map(findingJson),
  };
}
