/** What surrounds a member on its host, watched as long as it runs. */
import type { Exec } from './adapters/exec.ts';
import type { KernelThread } from './adapters/kernel/kernel-thread.ts';
import { findFirewall, readPassage } from './adapters/kernel/passage.ts';
import { openNetworkSocket } from './adapters/path/network-socket.ts';
import { openPathSocket } from './adapters/path/socket.ts';
import type { AddressWatch } from './agent/cluster/address-watch.ts';
import type { Identity } from './agent/cluster/identity.ts';
import { keepKnocking } from './agent/cluster/knocking.ts';
import type { OwnIdentity } from './agent/cluster/own-identity.ts';
import { RemovalWatch } from './agent/cluster/removal-watch.ts';
import { certificateFindings, type RenewalOptions } from './agent/cluster/renewal.ts';
import { bundledHostsOf, bundledStoreOf } from './agent/cluster/store-access.ts';
import { FirewallWatch } from './agent/host/firewall-watch.ts';
import type { Member } from './agent/member.ts';
import { NetworkWatch, type PathWatches } from './agent/path/network-watch.ts';
import { PathWatch } from './agent/path/path-watch.ts';
import { SilentPeers } from './agent/store/silent-peers.ts';
import { type Found, found } from './core/finding.ts';
import { keptStore } from './core/keepers.ts';
import type { Pki } from './ports/identity.ts';
import type { JoinClient } from './ports/join.ts';
import type { Kernel } from './ports/kernel.ts';
import type { Clock, Logger, Random } from './ports/runtime.ts';

const KNOCK_MS = 1_000;

export interface SurroundingsParts {
  readonly thread: KernelThread;
  readonly exec: Exec;
  readonly kernel: Kernel;
  readonly pki: Pki;
  readonly own: OwnIdentity;
  readonly addresses: Pick<AddressWatch, 'problems'>;
  readonly member: Member;
  readonly joinClient: Pick<JoinClient, 'isMember' | 'probe'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface Surroundings extends PathWatches {
  hostFindings(): readonly Found[];
  /** By a keeper's word, where etcd does not answer. */
  readonly removal: Pick<RemovalWatch, 'isTold'>;
  /** Ends when the signal aborts. */
  run(): Promise<void>;
}

export function composeSurroundings(
  { thread, exec, kernel, pki, own, addresses, member, joinClient, clock, random, logger }: SurroundingsParts,
  identity: Identity,
  options: RenewalOptions,
  signal: AbortSignal,
): Surroundings {
  const firewall = new FirewallWatch({
    ...{ passage: () => readPassage(thread, signal), firewall: () => findFirewall({ thread, run: exec.run }, signal) },
    ...{ port: identity.dataPathPort, clock, logger },
    nameOf: (address) => [...member.view.nodes()].find(({ left, vtep }) => !left && vtep === address)?.name,
  });
  const ofPaths = {
    ...{ kernel, clock, random, logger, open: openPathSocket, stopwatch: () => performance.now() },
    ...{ view: () => member.view, self: () => member.self },
    isHeard: (nodeId: string) => member.liveness(nodeId) === 'ready',
  };
  const onOther = (nodeId: string, data: Uint8Array) => networkPaths.takeBeside(nodeId, data);
  const paths = new PathWatch({ ...ofPaths, backend: 'plain', socketsAt: () => '', onOther });
  const socketsAt = () => member.wireguard.backend.place;
  const encryptedPaths = new PathWatch({ ...ofPaths, backend: 'wireguard', socketsAt, onOther });
  const networkPaths = new NetworkWatch({
    ...{ clock, random, logger, open: openNetworkSocket, view: () => member.view, self: () => member.self },
    ...{ ways: { plain: paths, wireguard: encryptedPaths } },
    hasOnNetwork: (networkId) => member.local.hasOnNetwork(networkId),
  });
  const silentPeers = new SilentPeers({
    ...{ clock, logger },
    kept: () => {
      const store = bundledStoreOf(own.current.store);
      return store && keptStore(member.view, member.self.id, store);
    },
    end: (silent) => thread.ask('endSilent', silent),
  });
  const storeHosts = () => bundledHostsOf(own.current.store);
  const knock = (host: string, port: number) => joinClient.probe(host, port, KNOCK_MS);
  const removal = new RemovalWatch({
    ...{ clock, random, logger, member, storeHosts },
    ask: (host, port, nodeId) => joinClient.isMember({ host, port }, pki.digest(own.current.caCertificate), nodeId),
  });
  return {
    ...{ paths, encryptedPaths, networkPaths, removal },
    lookAtFirewalls: () => firewall.look(),
    hostFindings: () => [
      ...found('address-lost', addresses.problems),
      ...certificateFindings({ pki, clock }, own.current, options),
      ...firewall.findings,
      ...paths.findings(),
      ...encryptedPaths.findings(),
      ...networkPaths.findings(),
    ],
    run: async () => {
      const watches = [firewall, paths, encryptedPaths, networkPaths, silentPeers, removal];
      const knocking = keepKnocking({ member, storeHosts, knock, clock }, signal);
      await Promise.all([knocking, ...watches.map((watch) => watch.run(signal))]);
    },
  };
}
