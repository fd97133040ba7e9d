/**
 * How people name things: by id, by name, or by a prefix of the id that fits one thing only. In that order, as Docker
 * does it: a network called "ab" wins over another one whose id starts with "ab".
 */
import { type ErrorCode, OverlaydError } from './errors.ts';

export type Referable = 'network' | 'node' | 'token' | 'endpoint';

/** `name` is absent for things that have ids only (tokens). */
export interface Named {
  readonly id: string;
  readonly name?: string;
}

const CANDIDATES_SHOWN = 5;

/**
 * The one item that `ref` means. Throws `<what>-not-found`, `ambiguous-id` (listing the candidates), `invalid-argument`
 * when `ref` is empty. `describe`: what tells candidates from each other, where names do not.
 */
export function resolveRef<T extends Named>(
  items: Iterable<T>,
  ref: string,
  what: Referable,
  describe: (item: T) => string = ({ name = '' }) => name,
): T {
  if (ref === '')
    throw new OverlaydError('invalid-argument', `which ${what}? give its name, its id or a prefix of its id`);
  const byName: T[] = [];
  const byPrefix: T[] = [];
  const prefix = ref.toLowerCase();
  for (const item of items) {
    if (item.id === prefix) return item;
    if (item.name === ref) byName.push(item);
    if (item.id.startsWith(prefix)) byPrefix.push(item);
  }
  const matches = byName.length > 0 ? byName : byPrefix;
  if (matches.length === 1) return matches[0]!;
  if (matches.length > 1) throw ambiguous(matches, ref, what, describe);
  const code: ErrorCode = `${what}-not-found`;
  throw new OverlaydError(code, `${what} ${ref} not found; ${LIST_HINTS[what]}`);
}

const LIST_HINTS: Record<Referable, string> = {
  network: '`overlayd network ls` lists the networks',
  node: '`overlayd node ls` lists the nodes',
  token: '`overlayd token ls` lists the tokens',
  endpoint: '`overlayd endpoint ls` lists the endpoints',
};

function ambiguous<T extends Named>(
  matches: readonly T[],
  ref: string,
  what: Referable,
  describe: (item: T) => string,
): OverlaydError {
  const shown = matches.slice(0, CANDIDATES_SHOWN).map((item) => {
    const short = shortId(item.id, matches);
    const words = describe(item);
    return words === '' ? short : `${short} (${words})`;
  });
  const rest = matches.length - shown.length;
  return new OverlaydError(
    'ambiguous-id',
    `${what} ${ref} is ambiguous: ${shown.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}; give more of the id`,
  );
}

/** The id's first 12 characters, or as many more as tell it from the others. */
function shortId(id: string, among: readonly Named[]): string {
  let length = 12;
  while (length < id.length && among.some((other) => other.id !== id && other.id.startsWith(id.slice(0, length)))) {
    length++;
  }
  return id.slice(0, length);
}
