/** `store`: the cluster's records as a whole. */
import type { Command } from 'commander';
import { OverlaydError } from '../../core/errors.ts';
import type { ClusterResult, StoreMember, StoreReport } from '../../gen/overlayd/v1/control.ts';
import { parseStoreMembers } from '../argument.ts';
import { addEtcdOptions, type EtcdOptions, etcdRequest, readInput } from '../etcd-options.ts';
import { UsageError } from '../exit.ts';
import { type AnswerFormat, addAnswerOption, addJsonOption, printAnswer, printJson } from '../output.ts';
import type { Session } from '../session.ts';
import { renderTable } from '../table.ts';
import { addLogin, addRoles } from './store-login.ts';

interface RestoreOptions {
  readonly fromHere?: boolean;
  readonly newStore?: boolean;
  readonly format: string;
}

export function addStoreCommands(program: Command, session: Session): void {
  const store = program
    .command('store')
    .description("See who keeps the cluster's records; back up, put back, move them");
  addStatus(store, session);
  addResize(store, session);
  addBackup(store, session);
  addRestore(store, session);
  addMove(store, session);
  addRoles(store, session);
  addLogin(store, session);
}

function addStatus(store: Command, session: Session): void {
  addAnswerOption(store.command('status').description('See the members of the store, and what is being changed'))
    .addHelpText(
      'after',
      `
Every host of ROLE voter or leader keeps the store; a learner has a copy and no vote. LAG: how many entries it
has yet to apply. Changes need more than half of the votes; existing networks need none. - in the last three:
that release of etcd tells them to a user with the role root alone.

Examples:
  overlayd store status
  overlayd store status --format json`,
    )
    .action(async ({ format }: { format: AnswerFormat }) => {
      const report = await session.ask('asking the members of the store', (client) => client.getStoreStatus({}));
      if (format !== 'text') return printAnswer(session, format, reportJson(report));
      const rows = report.members;
      session.print(
        renderTable<StoreMember>(
          [
            ...(report.bundled ? [{ heading: 'NODE', cell: (row: StoreMember) => row.nodeName || '(gone)' }] : []),
            { heading: 'URL', cell: (row) => row.url },
            { heading: 'ROLE', cell: (row) => row.role },
            { heading: 'ETCD', cell: (row) => (row.answers ? row.version || '-' : 'no answer') },
            { heading: 'SIZE', cell: (row) => (tells(row) ? sizeText(row) : '-') },
            { heading: 'LAG', cell: (row) => (tells(row) ? String(row.lag) : '-') },
          ],
          rows,
        ),
      );
      const voting = rows.filter(({ role }) => role !== 'learner').length;
      if (report.bundled) session.print(`\nKept by ${voting} of ${report.wanted} that are wanted.`);
      if (report.change !== '') session.print(`Under way: ${report.change}`);
      if (report.outlook !== '') session.print(`Note: ${report.outlook}`);
      for (const { nodeName, url, alarms } of rows) {
        if (alarms.length > 0) session.print(`Alarm of ${nodeName || url}: ${alarms.join(', ')}`);
      }
    });
}

function tells({ answers, version }: StoreMember): boolean {
  return answers && version !== '';
}

function sizeText({ size, sizeInUse }: StoreMember): string {
  const megabytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1);
  return `${megabytes(size)} MiB, ${megabytes(sizeInUse)} in use`;
}

function reportJson({ bundled, change, members, outlook, wanted }: StoreReport) {
  return {
    Bundled: bundled,
    Wanted: wanted,
    Members: members.map((member) => ({
      NodeName: member.nodeName,
      URL: member.url,
      Role: member.role,
      Answers: member.answers,
      Version: member.version,
      Size: member.size,
      SizeInUse: member.sizeInUse,
      Lag: member.lag,
      Alarms: member.alarms,
    })),
    Change: change,
    Outlook: outlook,
  };
}

function addResize(store: Command, session: Session): void {
  store
    .command('resize')
    .description('Say how many hosts are to keep the store')
    .argument('<count>', '1, 3 or 5', parseStoreMembers)
    .addHelpText(
      'after',
      `
Hosts are added and removed by themselves then, one after the other: \`overlayd store status\` tells. Run it on a
host that keeps the store.

Example:
  overlayd store resize 5`,
    )
    .action(async (members: number) => {
      await session.ask('writing how many hosts keep the store', (client) => client.resizeStore({ members }));
      session.print(`${members} ${members === 1 ? 'host is' : 'hosts are'} to keep the store.`);
    });
}

function addBackup(store: Command, session: Session): void {
  addJsonOption(
    store
      .command('backup')
      .description('Write all records of the cluster to a file')
      .argument('<file>', 'where to; - for standard output')
      .option('--from-here', "what this host's agent knows, also where the store does not answer"),
  )
    .addHelpText(
      'after',
      `
The file is text, a record on each line. It holds no private keys, and hashes of join tokens. Claims of
addresses are in it; which containers there are, a restore takes from the hosts.

Examples:
  overlayd store backup /var/backups/overlayd-$(date +%F)
  overlayd store backup - | gzip > cluster.gz`,
    )
    .action(async (file: string, { fromHere = false, format }: { fromHere?: boolean; format: string }) => {
      if (file === '-' && format === 'json')
        throw new UsageError('--format json and the file - both print; choose one');
      const { text, records } = await session.ask('reading the records', (client) => client.backUpStore({ fromHere }));
      if (file === '-') return session.surroundings.writeOut(text);
      await session.surroundings.writeFile(file, text).catch((cause: Error) => {
        throw new OverlaydError('invalid-argument', `the backup cannot be written: ${cause.message}`, { cause });
      });
      if (format === 'json') return printJson(session, { File: file, Records: records });
      session.print(`${records} records written to ${file}.`);
    });
}

function addRestore(store: Command, session: Session): void {
  addJsonOption(
    store
      .command('restore')
      .description("Put the cluster's records back")
      .argument('[file]', 'what `overlayd store backup` wrote; - for standard input')
      .option('--from-here', "no file, but what this host's agent knows")
      .option('--new-store', "the cluster's store is lost for good: begin another one on this host"),
  )
    .addHelpText(
      'after',
      `
A store that runs gets the networks, names and subnets of the backup; hosts, and what is connected on them,
stay. Where it is lost, --new-store begins another one here, and the members follow it; an old one that comes
back does not count any more. No traffic is touched. Run it on a host that keeps the store; with --new-store
on any. Another cluster is made of a backup by \`overlayd init --from-backup\`.

Examples:
  overlayd store restore /var/backups/overlayd-2026-11-28
  overlayd store restore --from-here --new-store`,
    )
    .action(async (file: string | undefined, { fromHere = false, newStore = false, format }: RestoreOptions) => {
      if ((file === undefined) !== fromHere) {
        throw new UsageError(fromHere ? '--from-here and a file exclude each other' : 'give a file, or --from-here');
      }
      const backup = file === undefined ? undefined : await readInput(session, 'the backup', file);
      const result = await session.ask('restoring the store', (client, report) =>
        client.restoreStore({ backup, newStore }, report),
      );
      print(session, result, format, 'The store is restored.');
    });
}

function addMove(store: Command, session: Session): void {
  const command = store
    .command('move')
    .description('Move all records to another etcd, and the members after them')
    .option('--bundled', 'to an etcd that this host runs');
  addJsonOption(addEtcdOptions(command, 'to an etcd of your own'))
    .addHelpText(
      'after',
      `
Changes wait for some seconds; no traffic is touched. The other etcd has to be empty below /overlayd/. Members
that are away now follow when they are back. In an etcd of your own that was left, records stay until you
delete them: not before \`overlayd status\` on all hosts is quiet. Run it on a host that keeps the store:
the files of --etcd are read there. --bundled on one that has the CA's key (\`overlayd ca status\`), which keeps the store then; further hosts follow
by themselves.

Examples:
  overlayd store move --etcd https://192.0.2.5:2379 --etcd-ca ca.pem --etcd-cert c.pem --etcd-key k.pem
  overlayd store move --bundled`,
    )
    .action(async ({ bundled = false, format, ...etcd }: EtcdOptions & { bundled?: boolean; format: string }) => {
      const request = await etcdRequest(etcd, session);
      if (request.etcdEndpoints.length > 0 === bundled) throw new UsageError('give --etcd or --bundled, one of them');
      const result = await session.ask('moving the store', (client, report) => client.moveStore(request, report));
      print(session, result, format, 'The store is moved.');
    });
}

function print(session: Session, { clusterId, nodeName, warnings }: ClusterResult, format: string, done: string): void {
  session.warn(warnings);
  if (format === 'json') printJson(session, { ClusterID: clusterId, NodeName: nodeName, Warnings: warnings });
  else session.print(done);
}
