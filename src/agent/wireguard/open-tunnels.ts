/** Joins the keys of this host and the loop that keeps its devices. */

import type { Sight } from '../../core/gossip/message.ts';
import type { OwnKeys } from '../../core/wireguard/own-keys.ts';
import type { JsonFile } from '../../ports/files.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import type { ControlWays, MakeKeyPair, OpenRelay, Wireguard } from '../../ports/wireguard.ts';
import { KeyRing, type KeyRingDeps } from './key-ring.ts';
import { Outside, type OutsideDeps, type OutsideOptions } from './outside.ts';
import { Tunnels, type TunnelsDeps, type TunnelsOptions } from './tunnels.ts';

/** WireGuard on this host, and its keys. */
export interface TunnelPorts {
  readonly wireguard: Wireguard;
  readonly keyFile: JsonFile<OwnKeys>;
  readonly makeKeyPair: MakeKeyPair;
  /** Absent where nobody is behind NAT. */
  readonly ways?: ControlWays | undefined;
  readonly openRelay?: OpenRelay | undefined;
}

export interface OpenTunnelsDeps extends Omit<TunnelsDeps, 'wireguard' | 'keys' | 'outside'> {
  readonly random: Random;
  readonly clock: Clock;
  readonly logger: Logger;
  /** What the node's record is made of changed. */
  readonly onOffer: () => void;
  readonly propose: OutsideDeps['propose'];
}

export function openTunnels(
  ports: TunnelPorts,
  deps: OpenTunnelsDeps,
  options: TunnelsOptions & OutsideOptions,
): Tunnels {
  const { makeKeyPair, keyFile: file, wireguard, ways, openRelay } = ports;
  const onChange = () => {
    deps.onOffer();
    tunnels.mark();
  };
  const onNews = () => tunnels.look();
  const outside = new Outside({ ...deps, wireguard, ways, openRelay, onOffer: onChange, onNews }, options);
  const amend: KeyRingDeps['amend'] = (offer) => outside.amend(offer);
  const keys = new KeyRing({ ...deps, file, makeKeyPair, amend, onChange }, options);
  const tunnels: Tunnels = new Tunnels({ ...deps, wireguard, keys, outside }, options);
  return tunnels;
}

/** What gossip carries for it. */
export function gossipOf(outside: () => Outside) {
  return {
    sightOf: (nodeId: string) => outside().sightOf(nodeId),
    onSight: (from: string, sight: Sight) => outside().noteSight(from, sight),
    onAttempt: (from: string, ms: number) => outside().agree(from, ms),
  };
}
