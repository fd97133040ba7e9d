import { readFileSync } from 'node:fs';
import { createEtcdStore } from '../../src/adapters/etcd/store.ts';
import { createLogger } from '../../src/adapters/log.ts';
import { systemClock } from '../../src/adapters/system/time.ts';
import { parseIdentity, tlsMaterialOf } from '../../src/agent/cluster/identity.ts';

/** The cluster's etcd, as the member does whose identity that file is. */
export function openMemberStore(identityPath: string): ReturnType<typeof createEtcdStore> {
  const identity = parseIdentity(JSON.parse(readFileSync(identityPath, 'utf8')));
  if (identity?.phase !== 'member') throw new Error('not a member');
  const { certificate, key, caCertificate } = tlsMaterialOf(identity);
  return createEtcdStore(
    { logger: createLogger({ level: 'error', format: 'text' }, process.stderr), clock: systemClock },
    {
      endpoints: identity.store.endpoints,
      tls: { ca: caCertificate, cert: certificate, key },
      targetName: 'etcd.overlayd',
    },
  );
}
