import { describeWireguard, type WireguardHost, type WireguardWorld } from '../contract/wireguard.ts';
import { FakeTunnels } from './fake-tunnels.ts';
import { FakeWireguard } from './fake-wireguard.ts';
import { VirtualClock } from './virtual-clock.ts';

async function open(): Promise<WireguardWorld> {
  const tunnels = new FakeTunnels();
  const clock = new VirtualClock();
  const fakes = ['10.77.0.1', '10.77.0.2'].map((address) => new FakeWireguard(tunnels, address, clock));
  const hostOf = (wireguard: FakeWireguard): WireguardHost => ({
    wireguard,
    address: wireguard.address,
    ping: async (address) => tunnels.ping(wireguard, address),
    pingInVain: async (address) => tunnels.ping(wireguard, address),
    echoes: async () => wireguard.echoes,
    crash: async (name) => wireguard.crash(name as 'ovlwg0'),
    setDown: async (name) => wireguard.interfere(name as 'ovlwg0', { up: false }),
    takePort: async (port) => void wireguard.takenPorts.add(port),
    restartAgent: async () => wireguard,
    remains: async () => [...wireguard.devices.keys(), ...(wireguard.hasPlace ? ['the namespace'] : [])],
  });
  return {
    hosts: [hostOf(fakes[0]!), hostOf(fakes[1]!)],
    async clear() {
      for (const fake of fakes) {
        fake.takenPorts.clear();
        for (const name of fake.devices.keys()) fake.crash(name);
        await fake.apply([{ kind: 'delete-place' }]);
      }
    },
    close: async () => undefined,
  };
}

describeWireguard('WireGuard in memory', 'wireguard-go', open);
