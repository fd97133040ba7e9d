/** What the agent keeps on this host's disk, file by file. */
import { join } from 'node:path';
import { createLineFile } from './adapters/line-file.ts';
import { createJsonFile, createStateFiles } from './adapters/state-file.ts';
import { parseOwnKeys } from './adapters/wireguard/own-keys.ts';
import { type IdentityState, parseIdentity, renderIdentity } from './agent/cluster/identity.ts';
import { parseEngineMemory } from './agent/engine/memory.ts';
import type { Config } from './core/config/option.ts';
import type { LineFile } from './ports/files.ts';
import type { HostFacts } from './ports/host.ts';

export function agentFiles({ dataDir, runDir }: Pick<Config, 'dataDir' | 'runDir'>) {
  const state = createStateFiles({ disk: join(dataDir, 'state.json'), run: join(runDir, 'state.json') });
  return {
    state,
    /** Whether the host was started since its agent ran last. Without a file that can be read it is not known, and false. */
    hasBooted: async (facts: Pick<HostFacts, 'bootId'>) => {
      const saved = await state.disk.load().catch(() => undefined);
      return saved !== undefined && saved.bootId !== (await facts.bootId());
    },
    identity: createJsonFile<IdentityState>(
      join(dataDir, 'identity.json'),
      parseIdentity,
      "this host is no member then; never on the host of the cluster's etcd, which nobody else has the way into",
      renderIdentity,
    ),
    engine: createJsonFile(
      join(dataDir, 'docker.json'),
      parseEngineMemory,
      'what it held is found again from what Docker keeps',
    ),
    keys: createJsonFile(join(dataDir, 'wireguard.json'), parseOwnKeys, 'this host makes itself a new key then'),
  };
}

export function eventFile({ dataDir }: Pick<Config, 'dataDir'>): LineFile {
  return createLineFile(join(dataDir, 'events.jsonl'));
}
