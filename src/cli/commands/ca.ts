/** `ca status` and `ca rotate`. */
import type { Command } from 'commander';
import type { CaNode, CaStatus } from '../../gen/overlayd/v1/control.ts';
import { type AnswerFormat, addAnswerOption, addJsonOption, printAnswer, printJson, timestamp } from '../output.ts';
import type { Session } from '../session.ts';
import { renderFacts, renderTable } from '../table.ts';

export function addCaCommands(program: Command, session: Session): void {
  const ca = program.command('ca').description("See and replace the cluster's certificate authority");

  addAnswerOption(ca.command('status').description('Show the CA, and how far each host is while it is replaced'))
    .addHelpText('after', '\nExamples:\n  overlayd ca status\n  overlayd ca status --format json')
    .action(async ({ format }: { format: AnswerFormat }) => {
      const status = await session.ask('waiting for the agent', (client) => client.getCa({}));
      if (format !== 'text') return printAnswer(session, format, caJson(status));
      session.print(caText(status));
    });

  addJsonOption(
    ca.command('rotate').description('Replace the CA, and the certificates of all hosts, while everything runs'),
  )
    .addHelpText(
      'after',
      `
First every host trusts both CAs, then each gets a certificate of the new one,
then the old one goes. No agent restarts, and no traffic is lost; the etcd of
each host that keeps the store does, one after another. A host that is away
holds it up until it is back or removed (overlayd node rm). It goes on when this
command is ended; running it again before its end shows where it is. Join tokens
that were made before are refused from its end on.

Examples:
  overlayd ca rotate
  overlayd ca rotate --format json`,
    )
    .action(async ({ format }: { format: string }) => {
      await session.ask('replacing the CA', (client, report) => client.rotateCa({}, report));
      const status = await session.ask('waiting for the agent', (client) => client.getCa({}));
      if (format === 'json') return printJson(session, caJson(status));
      session.print(
        `The CA is replaced; ${status.nodes.length} ${status.nodes.length === 1 ? 'host has' : 'hosts have'} a certificate of the new one. Make new join tokens: overlayd token create`,
      );
    });
}

function caText(status: CaStatus): string {
  const { digest, nextDigest, expiresAtMs, waiting } = status;
  const facts = renderFacts([
    ['CA', digest],
    ['Valid until', timestamp(expiresAtMs)],
    ...(nextDigest === '' ? [] : [['Next CA', nextDigest] as const, ['Waiting', waiting] as const]),
  ]);
  const isReplaced = nextDigest !== '';
  const table = renderTable<CaNode>(
    [
      { heading: 'NAME', cell: (node) => node.name },
      { heading: 'STATE', cell: (node) => node.state },
      { heading: 'KEEPER', cell: (node) => (node.keeper ? 'yes' : 'no') },
      ...(isReplaced
        ? [
            { heading: 'TRUSTS NEXT', cell: (node: CaNode) => (node.trustsNext ? 'yes' : 'no') },
            { heading: 'CERTIFIED BY NEXT', cell: (node: CaNode) => (node.certifiedByNext ? 'yes' : 'no') },
          ]
        : []),
    ],
    status.nodes,
  );
  return `${facts}\n\n${table}`;
}

function caJson(status: CaStatus) {
  return {
    Digest: status.digest,
    NextDigest: status.nextDigest,
    ExpiresAt: timestamp(status.expiresAtMs),
    Phase: status.phase,
    Waiting: status.waiting,
    Nodes: status.nodes.map((node) => ({
      ID: node.id,
      Name: node.name,
      State: node.state,
      Keeper: node.keeper,
      TrustsNext: node.trustsNext,
      CertifiedByNext: node.certifiedByNext,
      Awaited: node.awaited,
    })),
  };
}
