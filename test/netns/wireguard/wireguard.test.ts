/** By each backend that this machine has: the kernel's module, which not every kernel has, and wireguard-go. */
import { spawnSync } from 'node:child_process';
import { describe, it } from 'vitest';
import { lookUpFamily } from '../../../src/adapters/netlink/generic.ts';
import { NetlinkSocket } from '../../../src/adapters/netlink/socket.ts';
import { NETLINK_GENERIC } from '../../../src/adapters/netlink/uapi/netlink.ts';
import { WG_GENL_NAME } from '../../../src/adapters/netlink/uapi/wireguard.ts';
import { describeWireguard } from '../../contract/wireguard.ts';
import { openWorld } from './wireguard-host.ts';

function hasModule(): boolean {
  const socket = new NetlinkSocket({ protocol: NETLINK_GENERIC });
  try {
    return lookUpFamily(socket, WG_GENL_NAME) !== undefined;
  } finally {
    socket.close();
  }
}

const isInstalled = spawnSync('wireguard-go', ['--version']).error === undefined;
const MISSING = 'wireguard-go is not installed: apt-get install -y --no-install-recommends wireguard-go';

if (hasModule()) describeWireguard("WireGuard by the kernel's module", 'kernel', () => openWorld('kernel'));
else describe.skip("WireGuard by the kernel's module: this kernel has none", () => it('is not tried', () => undefined));

if (!isInstalled) throw new Error(MISSING);
describeWireguard('WireGuard by wireguard-go', 'wireguard-go', () => openWorld('wireguard-go'));
