/** What docs/networks.md, docs/dns.md and docs/services.md show is what happens: every example, run in its order as it stands there. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ROOT } from '../lab/host.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const PAGES = ['networks', 'dns', 'services'].map((name) => readFileSync(`${ROOT}/docs/${name}.md`, 'utf8'));

interface Step {
  readonly host: number;
  readonly command: string;
  /** Lines of the output, in which `…` is anything. */
  readonly shown: readonly string[];
}

function stepsOf(block: string): Step[] {
  return [...block.matchAll(/^h(\d)# (.*)\n((?:(?!h\d# ).*\n)*)/gm)].map(([, host, command, shown]) => ({
    host: Number(host),
    command: command!,
    shown: shown!.split('\n').filter((line) => line !== ''),
  }));
}

const sections = PAGES.flatMap((page) => page.split(/^#+ /m));
const examples = sections.flatMap((section) => {
  const [title = ''] = section.split('\n', 1);
  return [...section.matchAll(/^```\n([\s\S]*?)^```$/gm)].map(([, block]) => [title, stepsOf(block!)] as const);
});

const spaced = (text: string) => text.replace(/\s+/g, ' ').trim();

/** Whether the output has each of the lines shown, in that order. */
function shows(output: string, shown: readonly string[]): boolean {
  const lines = shown.map((line) =>
    spaced(line)
      .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll('…', '.*'),
  );
  return new RegExp(lines.join('.*')).test(spaced(output));
}

const lab = useLab({ hosts: 2, cluster: true });

test.each(examples)('%s', async (_, steps) => {
  expect(steps.length).toBeGreaterThan(1);
  for (const { host, command, shown } of steps) {
    const isRefused = shown.some((line) => line.startsWith('overlayd: '));
    // Names, networks and links of the other host are there a moment later.
    await until(
      `h${host}# ${command}`,
      async () => {
        const { code, stdout, stderr } = await lab().host(host).run(['bash', '-c', command]);
        const failed = isRefused ? code === 0 : code !== 0 && !shown.some((line) => line.includes('100% packet loss'));
        if (!failed && shows(stdout + stderr, shown)) return true;
        throw new Error(`it ended with ${code}\n${stdout}${stderr}`);
      },
      10_000,
    );
  }
});
