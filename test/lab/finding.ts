import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from './host.ts';
import { until } from './until.ts';

export interface Told {
  readonly Code: string;
  readonly Subject: string;
  readonly Message: string;
  readonly Certain: boolean;
}

const named = (told: readonly Told[]) => told.map(({ Code, Subject }) => `${Code} ${Subject}`.trim());

/** What `doctor` finds on the host now. */
export async function foundBy(host: Host, ...options: readonly string[]): Promise<Told[]> {
  const { stdout } = await host.run(['overlayd', 'doctor', '--format', 'json', ...options]);
  return JSON.parse(stdout).Findings;
}

/** Waits until `doctor` finds it, by code and subject and in such words, which are returned. */
export async function untilFound(host: Host, name: string, words = /./): Promise<string> {
  return until(`doctor on ${host.name} to find ${name}`, async () => {
    const all = await foundBy(host);
    const found = all.find((each) => named([each])[0] === name && words.test(each.Message));
    if (!found)
      throw new Error(`it finds ${all.map(({ Code, Message }) => `${Code}: ${Message}`).join('\n') || 'nothing'}`);
    return found.Message;
  });
}

/** Waits until `status` tells of all of them, whoever asked for what meanwhile. */
export async function untilTold(host: Host, names: readonly string[]): Promise<void> {
  await until(`status of ${host.name} to tell`, async () => {
    const { Findings, State } = await host.json('status');
    const told = named(Findings);
    const lacking = names.filter((name) => !told.includes(name));
    if (lacking.length > 0) throw new Error(`it lacks ${lacking.join(', ')}`);
    return State === 'degraded';
  });
}

/** Waits until `doctor` finds nothing for certain, but what `besides` names by code; one that is no member yet finds nothing either. */
export async function untilWell(host: Host, besides: readonly string[] = []): Promise<void> {
  await until(`${host.name} to have nothing to tell`, async () => {
    const certain = (await foundBy(host)).filter(({ Certain, Code }) => Certain && !besides.includes(Code));
    if (certain.length > 0) throw new Error(certain.map(({ Message }) => Message).join('\n'));
    const { State } = await host.json('status');
    if (State !== 'ready' && State !== 'degraded') throw new Error(`it is ${State}`);
    return true;
  });
}

/** How often the agent's log says so of that finding. */
export function logged(host: Host, words: string, code: string): number {
  const lines = readFileSync(join(host.directory, 'agent.log'), 'utf8').split('\n');
  return lines.filter((line) => line.includes(` ${words} code=${code} `)).length;
}
