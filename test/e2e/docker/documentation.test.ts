/** What docs/docker.md shows is what happens: its Compose files and its first steps, run as they stand there. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import {
  endpointNames,
  expectNothingLeft,
  offeredNetworks,
  untilOffered,
  withEngines,
} from '../../lab/docker-network.ts';
import type { Project } from '../../lab/engine.ts';
import { type Host, ROOT } from '../../lab/host.ts';
import { IMAGE } from '../../lab/image.ts';
import { until } from '../../lab/until.ts';
import { useLab } from '../../lab/use-lab.ts';

const PAGE = readFileSync(`${ROOT}/docs/docker.md`, 'utf8');

/** The text below a heading, up to the next one. */
function section(heading: string): string {
  const [, text] = PAGE.split(`\n## ${heading}\n`);
  if (text === undefined) throw new Error(`docs/docker.md has no section "${heading}"`);
  return text.split('\n## ')[0]!;
}

function blocks(text: string, language: string): readonly string[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, found, block]) =>
    found === language ? block! : [],
  );
}

const FILES = blocks(section('Compose'), 'yaml').map((file) => file.replaceAll('image: redis', `image: ${IMAGE}`));
const lab = useLab({ hosts: 2, cluster: true, prepare: withEngines });

/** Whether the service of that host's project reaches the one of the other host by its name. */
async function reaches({ engine }: Host, project: Project, service: string, name: string): Promise<boolean> {
  return (await engine.compose(project, 'exec', '-T', service, 'ping', '-c', '1', '-W', '2', name)).code === 0;
}

describe('a Compose file', () => {
  test('is there for a network that was made, and for one that the project brings, with and without a subnet', () => {
    expect(FILES.map((file) => [file.includes('external: true'), file.includes('subnet:')])).toEqual([
      [true, false],
      [false, false],
      [false, true],
    ]);
  });

  test.each(FILES.map((file, at) => [at + 1, file] as const))('%i joins its services on all hosts', async (_, file) => {
    const [one, two] = [lab().host(1), lab().host(2)];
    const external = file.includes('external: true');
    if (external) await one.mustOverlayd('network', 'create', 'web');
    if (external) await untilOffered(two, ['web']);
    const [service = ''] = /(?<=^services:\n {2})\w+/m.exec(file) ?? [];
    const project = { name: 'shop', file };
    // The same service elsewhere, by another name.
    const other = { name: 'shop', file: file.replace(`  ${service}:`, '  other:') };
    // Both hosts at once, and again while the other one runs.
    await Promise.all([one.engine.mustCompose(project, 'up', '-d'), two.engine.mustCompose(other, 'up', '-d')]);
    // What is there already is what the file asks for.
    await two.engine.mustCompose(other, 'up', '-d');
    for (let again = 0; again < 2; again++) {
      await until('each to reach the other', () => reaches(one, project, service, 'other'));
      await until('each to reach the other', () => reaches(two, other, 'other', service));
      await one.engine.mustCompose(project, 'down');
      await until('the end of one', async () => (await endpointNames(two)).length === 1);
      await one.engine.mustCompose(project, 'up', '-d');
    }
    expect(await one.json('network', 'ls')).toHaveLength(1);
    if (file.includes('subnet:'))
      expect(await one.mustOverlayd('network', 'inspect', 'jobs')).toContain('10.20.0.0/24');
    await one.engine.mustCompose(project, 'down');
    await two.engine.mustCompose(other, 'down');
    const [left = ''] = await offeredNetworks(one);
    if (left !== '') await one.mustOverlayd('network', 'rm', left);
    for (const host of lab().hosts) await untilOffered(host, []);
    await expectNothingLeft(lab().hosts);
  });
});

test('every command of the first five minutes does what it is there for', async () => {
  const [script = ''] = blocks(section('Five minutes'), '');
  const commands = [...script.matchAll(/^h(\d)# (.*?)(?: +#.*)?$/gm)];
  expect(commands.length).toBeGreaterThan(8);
  for (const [, host, command = ''] of commands) {
    // Names reach the other host a moment later, and so do networks.
    await until(`${command} on h${host}`, async () => {
      const { engine } = lab().host(Number(host));
      const { code, stderr } = await engine.shell(command.replaceAll('busybox-local', IMAGE));
      if (code !== 0) throw new Error(stderr);
      return true;
    });
    const [, made] = /^overlayd network create (\w+)$/.exec(command) ?? [];
    for (const each of made === undefined ? [] : lab().hosts) await untilOffered(each, [made!]);
  }
  await expectNothingLeft(lab().hosts);
});
