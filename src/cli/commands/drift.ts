/** `drift`: what hosts hold otherwise than is wanted, object by object. */
import type { Command } from 'commander';
import type { HostDrift } from '../../gen/overlayd/v1/control.ts';
import type { Drift, PutBack } from '../../gen/overlayd/v1/drift.ts';
import { EXIT, PartialFailure } from '../exit.ts';
import { type AnswerFormat, addAnswerOption, printAnswer, timestamp } from '../output.ts';
import type { Session } from '../session.ts';
import { type Column, printable, renderTable } from '../table.ts';
import { age } from '../tunnel.ts';

interface DriftOptions {
  readonly network?: string;
  readonly node?: string;
  readonly repair?: boolean;
  readonly format: AnswerFormat;
}

/** What one host tells, of all its parts. */
interface OfHost {
  readonly id: string;
  readonly name: string;
  readonly differs: Drift[];
  readonly repaired: Drift[];
  readonly putBack: PutBack[];
  leftOut: number;
  isPartial: boolean;
  reason: string;
}

type Row<T> = T & { readonly host: string };

export function addDriftCommand(program: Command, session: Session): void {
  addAnswerOption(
    program.command('drift').description('Show what differs in the kernel of each host from what is wanted there'),
  )
    .option('--network <network>', 'of this network alone')
    .option('--node <node>', 'of this host alone')
    .option('--repair', 'have each host put right what differs')
    .addHelpText(
      'after',
      `
Asks all hosts, each for ten seconds at most; one that does not answer is named. Changes nothing without --repair. Agents put
right by themselves what they see: what was put back within the last hour is shown as well, and is no difference.
Exits as diff does: ${EXIT.ok} when nothing differs (any more), ${EXIT.failure} when something does, or a host did not answer.

Examples:
  overlayd drift
  overlayd drift --network web --repair
  overlayd drift --format json | jq -r '.Drift[] | "\\(.Node) \\(.Object)"'`,
    )
    .action(async ({ network = '', node = '', repair = false, format }: DriftOptions) => {
      const hosts = new Map<string, OfHost>();
      await session.ask(repair ? 'having all hosts look and repair' : 'asking all hosts', (client, report) =>
        client.findDrift({ network, node, repair }, (told) => {
          take(hosts, told);
          report(`${hosts.size} ${hosts.size === 1 ? 'host has' : 'hosts have'} answered`);
        }),
      );
      const all = [...hosts.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      if (format !== 'text') printAnswer(session, format, driftJson(all));
      else print(session, all, repair);
      if (all.some(({ differs, reason }) => differs.length > 0 || reason !== '')) throw new PartialFailure();
    });
}

function take(hosts: Map<string, OfHost>, { nodeId: id, nodeName: name, found, reason }: HostDrift): void {
  const known = hosts.get(id);
  const host = known ?? { id, name, differs: [], repaired: [], putBack: [], leftOut: 0, isPartial: false, reason: '' };
  hosts.set(id, host);
  host.reason ||= reason;
  for (const drift of found?.differs ?? []) host.differs.push(drift);
  for (const drift of found?.repaired ?? []) host.repaired.push(drift);
  for (const each of found?.putBack ?? []) host.putBack.push(each);
  host.leftOut += found?.leftOut ?? 0;
  host.isPartial ||= found?.isPartial ?? false;
}

function print(session: Session, hosts: readonly OfHost[], repair: boolean): void {
  const now = session.surroundings.now();
  const differs = rowsOf(hosts, ({ differs }) => differs);
  const repaired = rowsOf(hosts, ({ repaired }) => repaired);
  const putBack = rowsOf(hosts, ({ putBack }) => putBack);
  if (repair && repaired.length > 0) {
    session.print('Put right now:');
    session.print(renderTable<Row<Drift>>(COLUMNS, repaired));
    session.print('');
  }
  if (differs.length > 0) {
    const since = { heading: 'SINCE', cell: (row: Row<Drift>) => `${age(Math.max(0, now - row.sinceMs))} ago` };
    session.print(renderTable<Row<Drift>>([...COLUMNS, since, WHY], differs));
  } else {
    const answered = hosts.filter(({ reason }) => reason === '').length;
    session.print(`Nothing differs ${repair ? 'any more ' : ''}on ${answered === 1 ? '1 host' : `${answered} hosts`}.`);
  }
  if (putBack.length > 0) {
    session.print('\nPut back by itself within the last hour:');
    session.print(
      renderTable<Row<PutBack>>(
        [
          ...COLUMNS.map(({ heading, cell }) => ({
            heading,
            cell: ({ host, drift }: Row<PutBack>) => (drift ? cell({ ...drift, host }) : host),
          })),
          { heading: 'TIMES', cell: ({ times }) => String(times) },
          { heading: 'LAST', cell: ({ lastMs }) => `${age(Math.max(0, now - lastMs))} ago` },
        ],
        putBack,
      ),
    );
  }
  session.warn(notesOf(hosts));
}

function notesOf(hosts: readonly OfHost[]): string[] {
  return hosts.flatMap(({ name, reason, leftOut, isPartial, differs }) => {
    const hindrances = new Set(differs.flatMap(({ hindered }) => (hindered === '' ? [] : [hindered])));
    return [
      ...(reason === '' ? [] : [`host ${name} did not answer: ${reason}`]),
      ...(leftOut > 0 ? [`host ${name}: ${leftOut} more differ, which are not listed`] : []),
      ...(isPartial
        ? [`host ${name} does not know all of the cluster yet, so not what it has too much; is etcd heard there?`]
        : []),
      ...[...hindrances].map((why) => `host ${name} cannot put it right: ${why}`),
    ].map(printable);
  });
}

const COLUMNS: readonly Column<Row<Drift>>[] = [
  { heading: 'HOST', cell: (row) => row.host },
  { heading: 'NETWORK', cell: (row) => row.network || '-' },
  { heading: 'WHERE', cell: (row) => row.place },
  { heading: 'KIND', cell: (row) => row.kind },
  { heading: 'OBJECT', cell: (row) => row.object },
  { heading: 'STATE', cell: (row) => (row.detail === '' ? row.state : `${row.state}: ${row.detail}`) },
];

const WHY: Column<Row<Drift>> = { heading: 'WANTED FOR', cell: (row) => row.why };

function rowsOf<T extends object>(hosts: readonly OfHost[], of: (host: OfHost) => readonly T[]): Row<T>[] {
  return hosts.flatMap((host) => of(host).map((each) => ({ ...each, host: host.name })));
}

function driftJson(hosts: readonly OfHost[]) {
  return {
    Drift: rowsOf(hosts, ({ differs }) => differs).map(itemJson),
    Repaired: rowsOf(hosts, ({ repaired }) => repaired).map(itemJson),
    PutBack: rowsOf(hosts, ({ putBack }) => putBack).flatMap(({ host, drift, times, firstMs, lastMs }) =>
      drift
        ? [{ ...itemJson({ ...drift, host }), Times: times, First: timestamp(firstMs), Last: timestamp(lastMs) }]
        : [],
    ),
    Hosts: hosts.map(({ id, name, reason, leftOut, isPartial }) => ({
      ...{ Node: name, NodeID: id, Answered: reason === '', Reason: reason, LeftOut: leftOut, Partial: isPartial },
    })),
  };
}

function itemJson(row: Row<Drift>) {
  return {
    Node: row.host,
    Network: row.network,
    Place: row.place,
    Kind: row.kind,
    Object: row.object,
    State: row.state,
    Detail: row.detail,
    Why: row.why,
    Since: timestamp(row.sinceMs),
    Hindered: row.hindered,
  };
}
