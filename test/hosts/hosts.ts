/** `node test/hosts/hosts.ts ROOT [STORY…]`: stories of two hosts booted over that root; all of them where none is named. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bootStory } from './boot-story.ts';
import { dockerStory } from './docker-story.ts';
import { figures } from './figures.ts';
import { Fleet, type Made, makePackages, step } from './fleet.ts';
import { packageStory } from './package-story.ts';
import { readmeStory } from './readme-story.ts';

const STORIES = { package: packageStory, boot: bootStory, docker: dockerStory, readme: readmeStory };

/** Measured where it is named. */
const FIGURES = 'figures';

const [root, ...named] = process.argv.slice(2);
const unknown = named.find((name) => name !== FIGURES && !Object.hasOwn(STORIES, name));
if (root === undefined || unknown !== undefined) {
  console.error(`usage: node test/hosts/hosts.ts ROOT [${[...Object.keys(STORIES), FIGURES].join(' | ')}]…`);
  process.exit(2);
}
const directory = mkdtempSync(path.join(tmpdir(), 'overlayd-packages-'));
try {
  let made: Made | undefined;
  const chosen = Object.entries(STORIES).filter(([name]) => named.length === 0 || named.includes(name));
  const measured = named.includes(FIGURES);
  await step('the package, and the next version of it', async () => {
    const needsNext = chosen.some(([name]) => name === 'package' || name === 'docker');
    made = await makePackages(directory, { needsNext, fast: !measured });
  });
  for (const [name, story] of chosen) {
    console.log(`${path.basename(root)}: ${name}`);
    await Fleet.with({ root, made: made! }, story);
  }
  if (measured) await figures({ root, made: made! }, directory);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
console.log(`ok: ${path.basename(root)}`);
process.exit(0);
