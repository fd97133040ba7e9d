import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { agentPid, residentBytes } from '../lab/agent-process.ts';
import { joinArguments, untilReady } from '../lab/cluster.ts';
import { ROOT } from '../lab/host.ts';
import { attach, untilResolves } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const ABUSE = join(ROOT, 'test/bench/programs/abuse.ts');
const MAX_GROWTH_BYTES = 50 * 2 ** 20;

describe('what somebody without a certificate or a token does to a member', () => {
  const lab = useLab({ hosts: 3 });
  const abuse = (kind: string, port: string, amount: string) =>
    lab()
      .host(2)
      .spawn(['node', ABUSE, kind, lab().host(1).address, port, amount]);

  test('costs it little memory and few lines in its log, and keeps nobody from joining', async () => {
    const [one, two, three] = [lab().host(1), lab().host(2), lab().host(3)];
    const line = joinArguments(await one.mustOverlayd('init', '--advertise-addr', one.address));
    await two.mustOverlayd(...line);
    await one.mustOverlayd('network', 'create', 'web');
    await attach(one, 'c1', 'web');
    await attach(two, 'c2', 'web', '--name', 'api');
    await untilResolves(one, 'c1', 'api', ['10.0.0.3']);
    const pid = agentPid(one);
    const before = residentBytes(pid);
    for (const [kind, port, amount] of [
      ['idle', '2377', '5000'],
      ['idle', '7946', '5000'],
      ['resets', '2377', '3'],
      ['guesses', '2377', '3'],
    ] as const) {
      const load = abuse(kind, port, amount);
      await until(`${kind} to be under way`, () => load.output.includes('ready'));
      await untilResolves(one, 'c1', 'api', ['10.0.0.3']);
      if (kind === 'guesses') await three.mustOverlayd(...line);
      expect(await load.exited, load.output).toBe(0);
      if (kind === 'idle') expect(load.output).toContain('{"open":0}');
      expect(residentBytes(pid) - before, kind).toBeLessThan(MAX_GROWTH_BYTES);
    }
    await untilReady(lab().hosts);
    const log = readFileSync(join(one.directory, 'agent.log'), 'utf8');
    expect(log).toMatch(/connections refused: too many of one source/);
    expect(log.match(/join refused|connections refused/g)!.length).toBeLessThan(20);
  });
});
