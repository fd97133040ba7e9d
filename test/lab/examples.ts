/** Examples of a page of `docs/`: what is typed on which host, and what is shown then. */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { ROOT } from './host.ts';
import type { Outcome } from './process.ts';
import { until } from './until.ts';

export interface Step {
  readonly host: number;
  readonly command: string;
  /** Lines of the output, in which `…` is anything. */
  readonly shown: readonly string[];
}

export interface Block {
  readonly language: string;
  readonly text: string;
}

/** Hosts of examples are 192.0.2.1 and up: here those of the lab. */
export function pageOf(name: string): string {
  return readFileSync(`${ROOT}/docs/${name}.md`, 'utf8').replaceAll(/\b192\.0\.2\.(\d)\b/g, '10.77.0.$1');
}

/** Of a text, fenced. */
export function blocksOf(text: string): Block[] {
  const found = text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm);
  return [...found].map(([, language, block]) => ({ language: language!, text: block! }));
}

/** Each example of these pages by the heading above it. Blocks that nobody types, of configuration, have a language. */
export function examplesOf(...pages: readonly string[]): (readonly [title: string, steps: readonly Step[]])[] {
  const sections = pages.flatMap((page) => pageOf(page).split(/^#+ /m));
  return sections.flatMap((section) => {
    const [title = ''] = section.split('\n', 1);
    const plain = blocksOf(section).filter(({ language }) => language === '');
    return plain.map(({ text }) => [title, stepsOf(text)] as const);
  });
}

function stepsOf(block: string): Step[] {
  return [...block.matchAll(/^h(\d)# (.*)\n((?:(?!h\d# ).*\n)*)/gm)].map(([, host, command, shown]) => ({
    host: Number(host),
    command: command!,
    shown: shown!.split('\n').filter((line) => line !== ''),
  }));
}

/** Each step once those before have done what they show. `run`: by a shell of that host. */
export async function runExample(
  steps: readonly Step[],
  run: (host: number, command: string) => Promise<Outcome>,
): Promise<void> {
  expect(steps.length).toBeGreaterThan(1);
  for (const { host, command, shown } of steps) {
    const isRefused = shown.some((line) => line.startsWith('overlayd: '));
    // Names, networks and links of the other host are there a moment later.
    await until(
      `h${host}# ${command}`,
      async () => {
        const { code, stdout, stderr } = await run(host, command);
        const failed = isRefused ? code === 0 : code !== 0 && !shown.some((line) => line.includes('100% packet loss'));
        if (!failed && shows(stdout + stderr, shown)) return true;
        throw new Error(`it ended with ${code}\n${stdout}${stderr}`);
      },
      10_000,
    );
  }
}

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
