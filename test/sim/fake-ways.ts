/** What members behind NAT need besides WireGuard: the way of agents inside of the tunnels, and who passes packets on. */
import { formatHostPort, parseHostPort } from '../../src/core/host-port.ts';
import { numberOfControl } from '../../src/core/wireguard/addresses.ts';
import type { OpenRelay } from '../../src/ports/wireguard.ts';
import type { FakeTunnels } from './fake-tunnels.ts';
import { FakeRouter, type NatKind } from './fake-underlay.ts';
import type { FakeWireguard } from './fake-wireguard.ts';
import type { Life } from './mortal.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';

interface Reachable {
  readonly record: { readonly id: string; readonly advertiseAddress: string; readonly gossipPort: number };
  readonly wireguard: FakeWireguard;
}

/** A router for hosts that join; from now on WireGuard's timers fire by themselves. */
export function addRouter(cluster: SimulatedCluster, kind: NatKind): FakeRouter {
  const { routers } = cluster.tunnels.underlay;
  if (routers.size === 0) void cluster.tunnels.run(cluster.clock);
  const router = new FakeRouter(`203.0.113.${routers.size + 1}`, kind, cluster);
  routers.add(router);
  return router;
}

/**
 * The address at which the one is known to the transport that a member calls at `address`; undefined: nothing gets there. Inside
 * of the tunnels packets have to pass both ways; from outside nobody calls through a router.
 */
export function wayTo(
  tunnels: FakeTunnels,
  hosts: readonly Reachable[],
  from: string,
  address: string,
): string | undefined {
  const { host = '' } = parseHostPort(address) ?? {};
  const caller = hosts.find(({ record }) => record.id === from)?.wireguard;
  const known = ({ record }: Reachable) => formatHostPort(record.advertiseAddress, record.gossipPort);
  if (caller && numberOfControl(host) !== undefined) {
    const { source } = caller;
    const there = source && tunnels.converse(caller, source.replace('198.18.', '198.19.'), host);
    const found = hosts.find(({ wireguard }) => wireguard === there);
    return found && known(found);
  }
  const called = hosts.find((each) => known(each) === address);
  return called?.wireguard.router || caller?.router?.isOn === false ? undefined : address;
}

/** As the agent's: it ends with it. */
export function relayOn(host: FakeWireguard, { underlay }: FakeTunnels, life: Life): OpenRelay {
  return async ({ ports, admits }) => {
    const isTaken = (port: number) => host.sockets.has(port) || host.takenPorts.has(port);
    if (life.over || ports.some(isTaken)) throw Object.assign(new Error('bind EADDRINUSE'), { code: 'EADDRINUSE' });
    const heard: (string | undefined)[] = [];
    for (const [side, port] of ports.entries()) {
      const other = 1 - side;
      host.sockets.set(port, (from, packet) => {
        if (!admits(side as 0 | 1, parseHostPort(from)!.host!)) return;
        heard[side] = from;
        if (heard[other] !== undefined) underlay.send(host, ports[other]!, heard[other], packet);
      });
    }
    return { ports, close: () => void ports.map((port) => host.sockets.delete(port)) };
  };
}
