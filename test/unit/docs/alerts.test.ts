/** What to do for each alert: where its annotation leads, a person finds something to begin with. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { packageFiles } from '../../../deploy/package/files.ts';
import { createProgram } from '../../../src/cli/program.ts';
import type { Surroundings } from '../../../src/cli/session.ts';

const ROOT = path.resolve(import.meta.dirname, '../../..');
const page = readFileSync(path.join(ROOT, 'docs/alerts.md'), 'utf8');
const rules = readFileSync(path.join(ROOT, 'deploy/prometheus/alerts.yml'), 'utf8');
const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name!);

it('each alert leads to a section of its own, where the package has the page', () => {
  const made = { manual: new Map(), completions: { bash: '', zsh: '', fish: '' }, dockerSetup: '' };
  const native = { node: 'node', koffi: 'koffi' };
  const files = packageFiles('x64', native, { ...made, unit: '[Unit]', copyright: '', changelog: '' });
  const place = files.find(({ from }) => from === 'docs/alerts.md')?.path;
  const urls = [...rules.matchAll(/^ +runbook_url: (\S+)$/gm)].map(([, url]) => url);
  expect(urls).toEqual(alerts.map((alert) => `file:///${place}#${alert.toLowerCase()}`));
  const [, ...sections] = page.split(/^## /m);
  expect(sections.map((section) => section.slice(0, section.indexOf('\n')))).toEqual(alerts);
  // A first step, with something to type or to look for.
  for (const section of sections) expect(section).toMatch(/^1\. [^\n]*(\n {3}[^\n]*)*`/m);
  // The package has no other page.
  expect([...page.matchAll(/\]\(([^)#]+)/g)].map(([, target]) => target)).toEqual([]);
});

it('what is to be typed are commands that there are', () => {
  const program = createProgram({ columns: 80, terminal: {} } as Surroundings);
  const typed = [...page.matchAll(/(?:`|^)overlayd ([a-z][\w-]*)(?: ([a-z][\w-]*))?/gm)];
  expect(typed.length).toBeGreaterThan(30);
  const unknown = typed.filter(([, word, next]) => {
    const command = program.commands.find((each) => each.name() === word);
    if (command === undefined || command.commands.length === 0) return command === undefined;
    return !command.commands.some((each) => each.name() === next);
  });
  expect(unknown.map(([text]) => text)).toEqual([]);
});
