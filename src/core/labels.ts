/** Labels that people give: how many, and how long they are together, for every host keeps those of all. */
import { OverlaydError } from './errors.ts';

export type Labels = Readonly<Record<string, string>>;

const MOST = {
  endpoint: { what: 'an endpoint', labels: 32, characters: 2_048 },
  node: { what: 'a node', labels: 32, characters: 2_048 },
  network: { what: 'a network', labels: 64, characters: 8_192 },
} as const;

/** Throws `invalid-argument`. */
export function checkLabels(labels: Labels, of: keyof typeof MOST): Labels {
  const pairs = Object.entries(labels);
  for (const [key] of pairs) {
    if (key === '') throw invalid('the key is missing; write it like team=web');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
    if (/[\x00-\x1f\x7f-\x9f]/.test(key)) {
      throw invalid(`the key ${JSON.stringify(key.slice(0, 40))} has control characters; write it like team=web`);
    }
  }
  const most = MOST[of];
  const characters = pairs.reduce((sum, [key, value]) => sum + key.length + value.length, 0);
  if (pairs.length > most.labels || characters > most.characters) {
    throw invalid(
      `${most.what} has at most ${most.labels} labels of ${most.characters.toLocaleString('en')} characters together, since every host keeps them`,
    );
  }
  return labels;
}

function invalid(why: string): OverlaydError {
  return new OverlaydError('invalid-argument', `--label: ${why}`);
}
