/** `events`: what happened on all hosts. */
import { type Command, Option } from 'commander';
import { ABOUT, EVENT_TYPES } from '../../core/events/event-types.ts';
import { parseMoment } from '../../core/moment.ts';
import { nearest } from '../../core/nearest.ts';
import type { EventsReply, SeenEvent } from '../../gen/overlayd/v1/control.ts';
import type { EventsQuery } from '../../gen/overlayd/v1/events.ts';
import { collect, splitPair } from '../argument.ts';
import type { ControlClient } from '../client.ts';
import { UsageError } from '../exit.ts';
import { beginningsOf, FilterOption } from '../filter.ts';
import { type Format, parseFormat, printJson, timestamp } from '../output.ts';
import { withSelf } from '../self.ts';
import type { Session } from '../session.ts';
import { jsonText, printable } from '../table.ts';
import { renderTemplate } from '../template.ts';

interface EventOptions {
  readonly since?: string;
  readonly until?: string;
  readonly filter?: readonly Filter[];
  readonly follow?: boolean;
  readonly local?: boolean;
  readonly limit: number;
  readonly format?: Format;
}

interface Filter {
  readonly key: (typeof KEYS)[number];
  readonly value: string;
}

const KEYS = ['type', 'node', 'network'] as const;
const LIMIT = 1_000;
const MOST = 20_000;

export function addEventsCommand(program: Command, session: Session): void {
  program
    .command('events')
    .description('Show what happened on all hosts: joins, attachments, repairs, refusals, changes of the store')
    .option('--since <time>', 'from then on: 10m, 24h (ago), or a time like 2026-01-31T10:00:00Z')
    .option('--until <time>', 'up to then')
    .addOption(
      new FilterOption(
        '--filter <key=value>',
        'type=NAME, type=join-*, type=store (what it is about), node=NAME, network=NAME; may be given several times',
        beginningsOf(KEYS),
      ).argParser(collect(parseFilter)),
    )
    .option('-f, --follow', 'go on with what happens; without --since nothing of before')
    .option('--local', 'of this host alone')
    .option('-n, --limit <count>', 'the newest so many', parseLimit, LIMIT)
    .addOption(
      new Option('--format <format>', "text, json, or a template like '{{.Type}} {{.Fields.network}}'").argParser(
        (text: string) => {
          if (/^table\s/.test(text)) throw new UsageError('--format: events have no columns; leave "table" out');
          return text === 'text' ? 'table' : parseFormat(text);
        },
      ),
    )
    .addHelpText(
      'after',
      `
Each host keeps its own; one that cannot be asked is named on standard error. \`--format json\` is one array, with --follow
one object a line.

Examples:
  overlayd events --since 1h
  overlayd events --follow --filter type=store --filter type=member
  overlayd events --filter network=web --format json`,
    )
    .allowExcessArguments()
    .action(async (options: EventOptions, { args }: Command) => {
      refuseArguments(args);
      checkTemplate(options.format);
      const query = queryOf(options, session.surroundings.now());
      const told = options.follow ? following(session, options) : gathering(session, options);
      const hear = async (client: ControlClient) => {
        const nodes = (await withSelf(client, options.filter)).flatMap((each) =>
          each.key === 'node' ? each.value : [],
        );
        const request = { query: { ...query, nodes }, local: options.local ?? false };
        await client.followEvents(request, told.take, session.surroundings.unread);
      };
      if (options.follow) await session.hear(hear);
      else await session.ask('asking all hosts', hear);
      told.end();
    });
}

/** Docker's `-f` is `--filter`, as of our other listings. */
function refuseArguments(args: readonly string[]): void {
  const [first] = args;
  if (first === undefined) return;
  const hint = first.includes('=') ? `; -f is --follow here, write --filter ${first}` : '';
  throw new UsageError(`events takes no arguments, but got ${args.join(', ')}${hint}`);
}

/** A field that no event has is refused before anybody is asked, not when the first one comes. */
function checkTemplate(format: Format = 'table'): void {
  if (typeof format !== 'string') renderTemplate(format, eventJson({ nodeId: '', nodeName: '', event: undefined }));
}

interface Teller {
  readonly take: (reply: EventsReply) => void;
  readonly end: () => void;
}

function following(session: Session, { format }: EventOptions): Teller {
  return {
    take: (reply) => {
      for (const event of reply.events) session.print(lineOf(event, format));
      noteAway(session, reply);
      noteLeftOut(session, reply.leftOut);
    },
    end: () => undefined,
  };
}

function gathering(session: Session, { format, limit }: EventOptions): Teller {
  const all: SeenEvent[] = [];
  const leftOut: EventsReply['leftOut'] = [];
  return {
    take: (reply) => {
      // An older agent tells all at once: more than a call has room for.
      for (const event of reply.events) all.push(event);
      leftOut.push(...reply.leftOut);
      noteAway(session, reply);
    },
    end: () => {
      const shown = all.slice(-limit);
      noteLeftOut(session, leftOut, all.slice(0, all.length - shown.length));
      if (format === 'json') printJson(session, shown.map(eventJson));
      else for (const event of shown) session.print(lineOf(event, format));
    },
  };
}

function noteAway(session: Session, { away }: EventsReply): void {
  session.warn(away.map(({ nodeName, reason }) => printable(`without the events of ${nodeName}: ${reason}`)));
}

/** In one line, however many hosts and types they are of. `cut`: what was told, and is more than was asked for. */
function noteLeftOut(session: Session, leftOut: EventsReply['leftOut'], cut: readonly SeenEvent[] = []): void {
  const all = [...leftOut, ...cut.map(({ nodeName, event }) => ({ nodeName, type: event?.type ?? '', count: 1 }))];
  if (all.length === 0) return;
  const of = [...Map.groupBy(all, ({ nodeName }) => nodeName)].map(([name, each]) => {
    const types = new Set(each.map(({ type }) => type));
    const count = each.reduce((sum, { count }) => sum + count, 0);
    return `${count} of ${name || 'this host'}${types.size === 1 ? ` (${[...types].join('')})` : ''}`;
  });
  const hosts = of.sort().join(', ');
  session.note(printable(`older events are not shown, or kept no more: ${hosts}; see --limit, --since and --filter`));
}

function queryOf({ since, until, filter = [], follow = false, limit }: EventOptions, now: number): EventsQuery {
  if (follow && until !== undefined) throw new UsageError('--follow goes on without end; leave --until out');
  const of = (key: Filter['key']) => filter.filter((each) => each.key === key).map(({ value }) => value);
  const sinceMs = since === undefined ? (follow ? now : 0) : momentOf('--since', since, now);
  const untilMs = until === undefined ? 0 : momentOf('--until', until, now);
  if (untilMs !== 0 && untilMs < sinceMs) throw new UsageError(`--until ${until} is before --since ${since}`);
  return {
    ...{ sinceMs, untilMs },
    ...{ types: of('type'), nodes: of('node'), networks: of('network') },
    ...{ after: 0, limit, follow },
  };
}

function momentOf(flag: string, text: string, now: number): number {
  const at = parseMoment(text, now);
  if (at !== undefined) return Math.max(at, 1);
  throw new UsageError(`${flag} ${text}: not a duration or time; write it like 10m, 24h or 2026-01-31T10:00:00Z`);
}

function parseFilter(text: string): Filter {
  const [key, value] = splitPair(text);
  const known = KEYS.find((each) => each === key);
  if (known === undefined || !value) {
    throw new UsageError(`--filter ${text}: write it like ${KEYS.map((each) => `${each}=…`).join(', ')}`);
  }
  if (known === 'type' && !value.endsWith('*')) requireType(text, value);
  return { key: known, value };
}

function requireType(filter: string, type: string): void {
  const known = [...Object.keys(EVENT_TYPES), ...ABOUT];
  if (known.includes(type)) return;
  const close = nearest(type, known);
  const hint = close ? `did you mean ${close}?` : `there are ${ABOUT.join(', ')}, and the types of docs/events.md`;
  throw new UsageError(`--filter ${filter}: unknown type; ${hint}`);
}

function parseLimit(text: string): number {
  if (/^[1-9]\d*$/.test(text) && Number(text) <= MOST) return Number(text);
  throw new UsageError(`--limit ${text}: write a number from 1 to ${MOST}`);
}

function lineOf(event: SeenEvent, format: Format = 'table'): string {
  const json = eventJson(event);
  if (format === 'json') return jsonText(json);
  if (format !== 'table') return renderTemplate(format, json);
  const fields = Object.entries(json.Fields).map(([name, value]) => ` ${name}=${textOf(value)}`);
  return printable(`${json.Time} ${json.Node || '-'} ${json.Type} ${json.Message}${fields.join('')}`);
}

function textOf(value: unknown): string {
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
}

function eventJson({ nodeId, nodeName, event }: SeenEvent) {
  return {
    Time: timestamp(event?.atMs ?? 0),
    /** The host that saw it; empty: this one, which is of no cluster. */
    Node: nodeName,
    NodeID: nodeId,
    Type: event?.type ?? '',
    Level: event?.level ?? '',
    Message: event?.message ?? '',
    Fields: fieldsOf(event?.fields ?? ''),
  };
}

/** Other hosts wrote it. */
function fieldsOf(text: string): Record<string, unknown> {
  try {
    const fields: unknown = JSON.parse(text);
    return typeof fields === 'object' && fields !== null ? { ...fields } : {};
  } catch {
    return {};
  }
}
