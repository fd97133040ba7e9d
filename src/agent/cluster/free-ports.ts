/**
 * The ports of a node are tried before anything is made: a cluster whose only member nobody can join, or a member that
 * no other one hears, would be found out much later.
 */
import { OverlaydError } from '../../core/errors.ts';
import type { BindProblem, PortBinding } from '../../core/host-facts.ts';
import { ALL_ADDRESSES, familyOf } from '../../core/ip.ts';
import { CLIENT_PORT, PEER_PORT } from '../../core/store-members.ts';
import type { HostFacts } from '../../ports/host.ts';
import type { Clock } from '../../ports/runtime.ts';
import type { NodeSettings } from './node-settings.ts';

interface NodePort extends PortBinding {
  /** With which another one is chosen; undefined: etcd's, which are the same everywhere. */
  readonly option?: string;
}

interface Finding {
  readonly port: NodePort;
  readonly problem: BindProblem;
}

/** The kernel takes down the VXLAN devices of networks that are just removed a moment later: `leave`, then `init`. */
const KERNEL_MS = 3_000;
const AGAIN_MS = 200;

export interface FurtherPorts {
  /** Its ports are wanted, which a cluster without encryption leaves to others. */
  readonly wireguard: boolean;
  /** Those of etcd, which this host is to run. */
  readonly etcd: boolean;
}

/** Throws `config-invalid` that names every port that cannot be bound, who has it, and how to choose another. */
export async function requireFreePorts(
  { facts, clock }: { readonly facts: HostFacts; readonly clock: Pick<Clock, 'elapsed' | 'sleep'> },
  settings: NodeSettings,
  further: FurtherPorts,
): Promise<void> {
  const deadline = clock.elapsed() + KERNEL_MS;
  while (true) {
    const findings = await tryPorts(facts, settings, further);
    if (findings.length === 0) return;
    if (!findings.every(isKernels) || clock.elapsed() >= deadline) throw refusal(findings);
    await clock.sleep(AGAIN_MS);
  }
}

async function tryPorts(facts: HostFacts, settings: NodeSettings, further: FurtherPorts): Promise<Finding[]> {
  const { listenAddress, joinPort, gossipPort, vtep, dataPathPort, wireguardPort } = settings;
  const address = ALL_ADDRESSES[familyOf(vtep)!];
  const ofWireguard = further.wireguard ? [wireguardPort, wireguardPort + 1] : [];
  const ofEtcd = further.etcd ? [CLIENT_PORT, PEER_PORT] : [];
  const ports: NodePort[] = [
    { transport: 'tcp', address: listenAddress, port: joinPort, option: '--join-port' },
    { transport: 'tcp', address: listenAddress, port: gossipPort, option: '--gossip-port' },
    // The kernel binds VXLAN's port on all addresses of the family.
    { transport: 'udp', address, port: dataPathPort, option: '--data-path-port' },
    ...ofEtcd.map((port): NodePort => ({ transport: 'tcp', address: listenAddress, port })),
    ...ofWireguard.map((port): NodePort => ({ transport: 'udp', address, port, option: '--wireguard-port' })),
  ];
  const findings = await Promise.all(
    ports.map(async (port) => {
      const problem = await facts.bindProblem(port);
      return problem === undefined ? [] : [{ port, problem }];
    }),
  );
  return findings.flat();
}

function isKernels({ problem }: Finding): boolean {
  return problem.kind === 'in-use' && problem.by === 'kernel';
}

function refusal(findings: readonly Finding[]): OverlaydError {
  const list = findings.map(describe).join('; ');
  return new OverlaydError('config-invalid', `nothing has been changed: ${list}${swarmHint(findings)}`);
}

function describe({ port: { transport, address, port, option }, problem }: Finding): string {
  const what = `port ${port}/${transport}`;
  if (problem.kind === 'other')
    return `${what} of ${address} cannot be used (${problem.reason}); check ${option ? `${option} and ` : ''}--listen-addr`;
  const taken = `${what} is in use${holder(transport, problem.by)}`;
  if (option) return `${taken}; stop that, or choose another port with ${option}`;
  return `${taken}, and is for the etcd that overlayd runs; if it is an etcd of yours, use it with --etcd URL, or stop it (the one of Debian: \`systemctl disable --now etcd\`)`;
}

function holder(transport: 'tcp' | 'udp', by: (BindProblem & { kind: 'in-use' })['by']): string {
  if (by === undefined) return '';
  if (by !== 'kernel') return ` by ${by.process}`;
  return transport === 'udp'
    ? ' by the kernel, most likely for VXLAN of Docker Swarm or another overlay'
    : ' by the kernel';
}

function swarmHint(findings: readonly Finding[]): string {
  const isSwarm = findings.some(
    ({ problem }) =>
      problem.kind === 'in-use' && typeof problem.by === 'object' && problem.by.process.startsWith('dockerd '),
  );
  return isSwarm
    ? '. Docker Swarm has the same ports: beside it give every host --join-port 2378 --gossip-port 7947 --data-path-port 4790'
    : '';
}
