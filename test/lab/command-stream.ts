/** Commands of every kind that changes what the cluster shares, one after another on one host, again and again in another order. */
import type { Random } from '../../src/ports/runtime.ts';
import type { Host } from './host.ts';

export interface Refusal {
  readonly host: string;
  readonly command: string;
  readonly stderr: string;
}

export interface StreamOutcome {
  readonly commands: number;
  readonly refused: readonly Refusal[];
  /** Names of networks that it was told are there, and of others that may be: nobody said that they were made, or removed. */
  readonly made: readonly string[];
  readonly unsure: readonly string[];
}

/** On a network `web`, which is there, until the signal aborts. What was begun is ended. */
export async function streamCommands(host: Host, random: Random, signal: AbortSignal): Promise<StreamOutcome> {
  const refused: Refusal[] = [];
  const [made, unsure] = [new Set<string>(), new Set<string>()];
  let commands = 0;
  const run = async (...args: readonly string[]): Promise<string | undefined> => {
    commands++;
    const { code, stdout, stderr } = await host.overlayd(...args);
    if (code === 0) return stdout.trim();
    refused.push({ host: host.name, command: args.join(' '), stderr: stderr.trim() });
    return undefined;
  };
  const container = await host.container('busy');
  let turn = 0;
  const pairs: readonly (() => Promise<void>)[] = [
    async () => {
      const name = `net-${host.name}-${turn}`;
      unsure.add(name);
      if ((await run('network', 'create', name)) === undefined) return;
      made.add(name);
      if (random.next() < 0.5) await run('network', 'expose', name);
      else if ((await run('network', 'rm', name)) !== undefined) made.delete(name);
      else return;
      unsure.delete(name);
    },
    async () => {
      if ((await run('network', 'connect', '--name', `busy-${host.name}`, 'web', container)) === undefined) return;
      await run('network', 'disconnect', 'web', container);
    },
    async () => {
      const token = await run('token', 'create', '--quiet');
      const id = token?.split('-')[3];
      if (id) await run('token', 'revoke', id);
    },
    async () => {
      const alias = `s${turn}-${host.name}`;
      if ((await run('service', 'create', '--network', 'web', '--alias', alias)) === undefined) return;
      await run('service', 'rm', 'web', alias);
    },
    async () => {
      const name = `static-${host.name}`;
      if ((await run('dns', 'add', 'web', name, 'A', '192.0.2.1')) !== undefined) await run('dns', 'rm', 'web', name);
    },
    async () => void (await run('node', 'update', '--label-add', `turn=${turn}`, 'self')),
  ];
  for (; !signal.aborted; turn++) {
    const order = pairs.map((pair) => ({ pair, at: random.next() })).sort((a, b) => a.at - b.at);
    for (const { pair } of order) if (!signal.aborted) await pair();
  }
  return { commands, refused, made: [...made], unsure: [...unsure] };
}
