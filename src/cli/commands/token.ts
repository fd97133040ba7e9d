/** `token create`, `token ls`, `token inspect` and `token revoke`. */
import { type Command, Option } from 'commander';
import { formatDuration } from '../../core/config/duration.ts';
import type { Token } from '../../gen/overlayd/v1/control.ts';
import { parseNodeName, parseTtl, parseUses } from '../argument.ts';
import { forEach } from '../each.ts';
import { type Filters, is, isOneOf, startsWith } from '../filter.ts';
import { inspectEach } from '../inspect.ts';
import {
  addInspectOption,
  addJsonOption,
  addListOptions,
  type Format,
  type ListOptions,
  printJson,
  printListing,
  timestamp,
} from '../output.ts';
import type { Session } from '../session.ts';

const DAY_MS = 24 * 60 * 60 * 1_000;

export function addTokenCommands(program: Command, session: Session): void {
  const token = program.command('token').description('Make and revoke the tokens that hosts join with');

  addJsonOption(
    token
      .command('create')
      .description('Make a token and print the line to run on the host that is to join')
      .addOption(
        new Option('--ttl <duration>', 'how long it is valid, 0 for ever').argParser(parseTtl).default(DAY_MS, '24h'),
      )
      .option('--uses <count>', 'how many hosts may join with it (default: no limit)', parseUses)
      .option('--node <name>', 'let no host but the one of this name join with it', parseNodeName)
      .option('-q, --quiet', 'print the token only'),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  overlayd token create\n  overlayd token create --ttl 10m --uses 1 -q\n  overlayd token create --node host7',
    )
    .action(async (options: { ttl: number; uses?: number; node?: string; quiet?: boolean; format: string }) => {
      const created = await session.ask('making the token', (client) =>
        client.createToken({ ttlMs: options.ttl, uses: options.uses ?? 0, node: options.node ?? '' }),
      );
      if (options.quiet) return session.print(created.token);
      if (options.format === 'text') return session.print(created.joinCommand);
      printJson(session, {
        ID: created.id,
        Token: created.token,
        JoinCommand: created.joinCommand,
        ExpiresAt: timestamp(created.expiresAtMs),
      });
    });

  addListOptions(
    token.command('ls').alias('list').description('List the tokens; their secrets are not kept'),
    filtersAt(session.surroundings.now),
  )
    .addHelpText(
      'after',
      '\nExamples:\n  overlayd token ls\n  overlayd token ls --filter expired=true -q\n  overlayd token ls --format json',
    )
    .action(async (options: ListOptions) => {
      const { tokens } = await session.ask('waiting for the agent', (client) => client.listTokens({}));
      const now = session.surroundings.now();
      printListing(session, options, {
        rows: tokens,
        filters: filtersAt(() => now),
        columns: [
          { heading: 'ID', cell: (row) => row.id },
          { heading: 'ROLE', cell: (row) => row.role },
          { heading: 'EXPIRES', cell: (row) => expiry(row, now) },
          { heading: 'USES LEFT', cell: (row) => (row.usesLeft < 0 ? 'no limit' : String(row.usesLeft)) },
          { heading: 'CREATED BY', cell: (row) => row.createdBy },
          ...(tokens.some(({ node }) => node !== '') ? [{ heading: 'FOR', cell: forNode }] : []),
          { heading: 'LAST JOINED', cell: (row) => row.uses.at(-1)?.name ?? '-' },
        ],
        toJson: tokenJson,
        id: (row) => row.id,
      });
    });

  addInspectOption(token.command('inspect').description('Show tokens, and who joined with them from where, as JSON'))
    .argument('<token-id...>', 'id or beginning of an id, as `overlayd token ls` lists it')
    .addHelpText('after', '\nExamples:\n  overlayd token inspect 4k1h2x9q')
    .action(async (refs: string[], { format }: { format?: Format }) => {
      await inspectEach(session, refs, format, (client, ref) => client.getToken({ ref }), tokenJson);
    });

  token
    .command('revoke')
    .aliases(['rm', 'remove', 'delete'])
    .description('Make tokens useless; nodes that joined with them stay')
    .argument('<token-id...>', 'id or beginning of an id, as `overlayd token ls` lists it')
    .addHelpText('after', '\nExamples:\n  overlayd token revoke 4k1h2x9q')
    .action(async (refs: string[]) => {
      await session.ask('revoking the token', (client) =>
        forEach(session, refs, async (ref) => session.print((await client.revokeToken({ ref })).ref)),
      );
    });
}

function filtersAt(now: () => number): Filters<Token> {
  return {
    'created-by': isOneOf(({ createdBy }) => createdBy),
    expired: is((token) => isExpired(token, now())),
    id: startsWith(({ id }) => id),
    node: isOneOf(({ node }) => node),
    role: isOneOf(({ role }) => role),
  };
}

function forNode({ node }: Token): string {
  return node || 'any';
}

function isExpired({ expiresAtMs }: Token, now: number): boolean {
  return expiresAtMs !== 0 && expiresAtMs <= now;
}

function expiry(token: Token, now: number): string {
  if (token.expiresAtMs === 0) return 'never';
  if (isExpired(token, now)) return 'expired';
  const left = token.expiresAtMs - now;
  const unit = left < 60_000 ? 1_000 : 60_000;
  return `in ${formatDuration(Math.ceil(left / unit) * unit)}`;
}

export function tokenJson(token: Token) {
  return {
    ID: token.id,
    Role: token.role,
    CreatedAt: timestamp(token.createdAtMs),
    CreatedBy: token.createdBy,
    ExpiresAt: timestamp(token.expiresAtMs),
    /** Null: no limit. */
    UsesLeft: token.usesLeft < 0 ? null : token.usesLeft,
    /** The only host that may join with it; empty: any. */
    Node: token.node,
    /** The last ones. */
    Uses: token.uses.map((use) => ({
      ...{ NodeID: use.nodeId, Node: use.name, From: use.from, At: timestamp(use.atMs) },
    })),
  };
}
