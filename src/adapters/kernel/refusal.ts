/** What the kernel means when it refuses, in words that say what to do. */
import { DEFAULT, HOST, MOST_CONTAINERS, type Op } from '../../core/host-state.ts';
import { WIREGUARD_PLACE } from '../../core/wireguard/state.ts';
import { NAMES } from './means.ts';
import type { PlainError } from './plain-error.ts';

/** What entering a namespace says where there is none. */
const NO_NAMESPACE = ['ENOENT', 'EINVAL'];
const NO_IPV6 = ['EAFNOSUPPORT', 'ENOTSUP', 'EOPNOTSUPP'];

/** Undefined where its own words have to do. */
export function explainRefusal(op: Op, { code, message }: PlainError): string | undefined {
  switch (op.kind) {
    case 'set-route': {
      const { destination, gateway } = op.route;
      if (code !== 'EINVAL' || !/invalid gateway/.test(message)) return undefined;
      const who = op.at === HOST ? 'this host' : `the namespace ${op.at}`;
      const isDefault = destination === DEFAULT[4] || destination === DEFAULT[6];
      const way = isDefault ? 'default route' : `route to ${destination}`;
      return `there is no ${way}, because ${who} has the address of the gateway, ${gateway}, itself: take it away (\`ip address\` shows where it is), or use a network with another subnet`;
    }
    case 'add-address':
      if (!op.address.address.includes(':')) return undefined;
      if (code === 'EINVAL')
        return `${op.address.link} can have no IPv6, which needs an MTU of 1,280 bytes or more (RFC 8200, section 5), and something has given it less: raise it (\`ip link set ${op.address.link} mtu\`)`;
      if (!NO_IPV6.includes(code)) return undefined;
      return 'this host has no IPv6: its kernel was started with `ipv6.disable=1`, or was built without it; change that, or use a network without IPv6 on this host';
    case 'add-vxlan':
      // It names the file that leads to none.
      if (NO_NAMESPACE.includes(code) && message.includes(`${NAMES}${WIREGUARD_PLACE}`))
        return `WireGuard is not there on this host, without which nothing of an encrypted network leaves it: there is no namespace ${WIREGUARD_PLACE}; \`overlayd status\` says what is in its way`;
      if (code !== 'EEXIST') return undefined;
      return `this host has another VXLAN device with VNI ${op.vxlan.vni} on port ${op.vxlan.port}: remove it (\`ip -d link show type vxlan\`; what is in no namespace with a name, a process may hold), or use a network with another VNI`;
    case 'add-veth':
    case 'add-bridge':
      if (code !== 'EEXIST') return undefined;
      return `something else has the name of a link that is to be made (${message}); look at \`ip -d link\``;
    case 'set-link':
      if (op.set.master === undefined || code !== 'EXFULL') return undefined;
      return `the network has as many containers on this host as it can have, ${MOST_CONTAINERS.toLocaleString('en')}: connect this one on another host`;
    default:
      return undefined;
  }
}
