/** What the README has a newcomer type on two hosts, line by line as it stands there. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ROOT } from '../lab/host.ts';
import { INSTALL_DOCKER } from './docker-story.ts';
import { type Fleet, step } from './fleet.ts';

interface Line {
  readonly hosts: readonly ('one' | 'two')[];
  readonly text: string;
}

/** Of the blocks before the requirements; what is written twice is typed once. */
function linesOf(readme: string): readonly Line[] {
  const [before = ''] = readme.split('\n## Requirements');
  const blocks = [...before.matchAll(/^```\n(.*?)^```$/gms)].map(([, block]) => block!.split('\n'));
  const typed = new Map<string, Line>();
  for (const [block, lines] of blocks.entries()) {
    for (const line of lines) {
      const [, number, words] = /^host([12])# (.*)$/.exec(line) ?? [];
      // A block without a host is of both: what is done on each before the next block.
      const isOfBoth = number === undefined && /^(overlayd-docker-setup|systemctl )/.test(line);
      if (number === undefined && !isOfBoth) continue;
      const text = (words ?? line).replace(/\s+# .*$/, '').trim();
      const hosts = isOfBoth ? (['one', 'two'] as const) : ([number === '1' ? 'one' : 'two'] as const);
      const key = `${hosts} ${text}`;
      if (!typed.has(key)) typed.set(key, { hosts, text });
    }
    if (block === 0) assert.ok(typed.size >= 8, 'the first screen has its lines');
  }
  return [...typed.values()];
}

export async function readmeStory(fleet: Fleet): Promise<void> {
  const lines = linesOf(readFileSync(path.join(ROOT, 'README.md'), 'utf8'));
  const { hosts } = fleet;
  let said = '';

  await step('two hosts with Docker, ssh between them, and the images that the README names', async () => {
    await fleet.bootAll();
    await fleet.letIn();
    for (const host of hosts) {
      await host.sh(INSTALL_DOCKER);
      for (const name of ['redis', 'busybox'])
        await host.sh(`docker import --change 'CMD ["sleep", "1000000"]' ${fleet.inside(fleet.made.image)} ${name}`);
    }
  });

  for (const { hosts: names, text } of lines) {
    for (const name of names) {
      await step(`${name}: ${text}`, async () => {
        const join = /^\s*(overlayd join .*)$/m.exec(said)?.[1] ?? '';
        if (text.includes('…')) {
          const shape = text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace('…', '\\S+');
          assert.match(join, new RegExp(`^${shape}$`));
        }
        const line = text.includes('…') ? join : text;
        // Where it asks, the newcomer says yes.
        const words = ['sh', '-c', `cd /packages && yes | { ${line}; }`];
        said += await fleet[name].must(words, { timeoutMs: 600_000 });
      });
    }
  }
  assert.equal(said.match(/1 (packets )?received/g)?.length, 3);
}
