/** Whom the command asks in its rehearsal: an agent that knows one network. */
import { mkdtemp, rm } from 'node:fs/promises';
import path from 'node:path';
import { serveCalls } from '../src/adapters/grpc/control-call-server.ts';
import { callsPath } from '../src/adapters/grpc/control-method.ts';
import { Network, type NetworkList } from '../src/gen/overlayd/v1/control.ts';

const NETWORK = Network.fromPartial({
  ...{ id: 'rehearsed', name: 'rehearsed', state: 'active', vni: 4_096, mtu: 1_450, endpointCount: 2 },
  subnets: [{ cidr: '10.0.0.0/24', gateway: '10.0.0.1' }],
});

/** `work` is given its `--run-dir`. */
export async function withRehearsedAgent(work: (runDir: string) => Promise<void>): Promise<void> {
  // A socket's path has 107 bytes at most (unix(7)), whatever TMPDIR says.
  const runDir = await mkdtemp('/tmp/overlayd-rehearsal-');
  const answer = async (): Promise<NetworkList> => ({ networks: [NETWORK] });
  const calls = await serveCalls(answer, { path: callsPath(path.join(runDir, 'overlayd.sock')), mode: 0o600 });
  try {
    await work(runDir);
  } finally {
    await calls.close();
    await rm(runDir, { recursive: true });
  }
}
