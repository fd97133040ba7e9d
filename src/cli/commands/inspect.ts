/** `inspect`: all that is known of whatever goes by a name. */
import { type Command, Option } from 'commander';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { ControlClient } from '../client.ts';
import { inspectEach } from '../inspect.ts';
import { endpointJson, networkInspection } from '../network-json.ts';
import { addInspectOption, type Format } from '../output.ts';
import type { Session } from '../session.ts';
import { nodeJson } from './node.ts';
import { serviceJson } from './service.ts';
import { tokenJson } from './token.ts';

type Look = (client: ControlClient, ref: string) => Promise<object>;

/** Each throws one of {@link NOT_FOUND} where there is none. */
const KINDS: Readonly<Record<string, Look>> = {
  network: async (client, ref) => networkInspection(await client.getNetwork({ ref })),
  endpoint: async (client, ref) => endpointJson(await client.getEndpoint({ ref })),
  node: async (client, ref) => nodeJson(await client.getNode({ ref })),
  service: async (client, ref) => serviceJson(await findService(client, ref)),
  token: async (client, ref) => tokenJson(await client.getToken({ ref })),
};
const NAMES = Object.keys(KINDS);
const NOT_FOUND = ['network-not-found', 'endpoint-not-found', 'node-not-found', 'name-not-found', 'token-not-found'];

interface Found {
  readonly kind: string;
  readonly object: object;
}

export function addInspectCommand(program: Command, session: Session): void {
  addInspectOption(
    program
      .command('inspect')
      .description('Show all that is known of networks, endpoints, nodes, services or tokens, as JSON'),
  )
    .argument('<name...>', 'name, id or beginning of an id; of an endpoint or a service NETWORK/NAME too')
    .addOption(new Option('--type <kind>', 'look for that alone').choices(NAMES))
    .addHelpText(
      'after',
      `
Kind says what it is. A name of several things is refused, with what they are.

Examples:
  overlayd inspect web
  overlayd inspect --type node host2
  overlayd inspect -f '{{.Kind}} {{.Name}}' web api host2`,
    )
    .action(async (refs: string[], { format, type }: { format?: Format; type?: string }) => {
      const look = (client: ControlClient, ref: string) =>
        type === undefined ? lookEverywhere(client, ref) : lookFor(type, client, ref);
      await inspectEach(session, refs, format, look, ({ kind, object }) => ({ Kind: kind, ...object }));
    });
}

async function lookFor(kind: string, client: ControlClient, ref: string): Promise<Found> {
  return { kind, object: await KINDS[kind]!(client, ref) };
}

async function lookEverywhere(client: ControlClient, ref: string): Promise<Found> {
  let ambiguous: OverlaydError | undefined;
  const looks = await Promise.all(
    NAMES.map((kind) =>
      lookFor(kind, client, ref).catch((error: unknown) => {
        if (!isOverlaydError(error)) throw error;
        if (error.code === 'ambiguous-id') ambiguous ??= error;
        else if (!NOT_FOUND.includes(error.code)) throw error;
        return undefined;
      }),
    ),
  );
  const all = looks.filter((each) => each !== undefined);
  // A whole name wins over the beginning of an id, of several as well.
  const named = all.filter(({ object }) => isWhole(object, ref));
  if (named.length === 0 && ambiguous) throw ambiguous;
  const found = named.length > 0 ? named : all;
  if (found.length === 1) return found[0]!;
  if (found.length > 1) {
    const kinds = found.map(({ kind }) => kind);
    throw new OverlaydError(
      'ambiguous-id',
      `${ref} means several things; say which: --type ${kinds.join(' or --type ')}`,
    );
  }
  throw new OverlaydError(
    'name-not-found',
    `there is no network, endpoint, node, service or token ${ref}; \`overlayd network ls\`, \`overlayd endpoint ls\` and \`overlayd node ls\` list what there is`,
  );
}

function isWhole(object: object, ref: string): boolean {
  const { Alias, ID, Id, Name } = object as Readonly<Record<string, unknown>>;
  return [Alias, ID, Id, Name].includes(ref);
}

/** By NETWORK/ALIAS, by its alias where no other network has one of it, by its id. */
async function findService(client: ControlClient, ref: string) {
  const { services } = await client.listServices({ network: '' });
  const named = services.filter(({ alias, networkName }) => alias === ref || `${networkName}/${alias}` === ref);
  const found = named.length > 0 ? named : services.filter(({ id }) => id.startsWith(ref.toLowerCase()));
  if (found.length === 1) return found[0]!;
  const names = found.map(({ alias, networkName }) => `${networkName}/${alias}`);
  if (found.length > 1) throw new OverlaydError('ambiguous-id', `service ${ref} is ambiguous: ${names.join(', ')}`);
  throw new OverlaydError('name-not-found', `service ${ref} not found; \`overlayd service ls\` lists the services`);
}
