/** What a link does itself and what the kernel does for it, as `ethtool -K` sets it; and links without ARP. */
import { PayloadWriter } from './attributes.ts';
import { genericPayload } from './generic.ts';
import type { Request } from './message.ts';
import * as et from './uapi/ethtool.ts';
import { IFF_NOARP, IFLA_IFNAME } from './uapi/if-link.ts';
import { NLA_F_NESTED } from './uapi/netlink.ts';
import { IFINFOMSG_BYTES, RTM_NEWLINK } from './uapi/rtnetlink.ts';

/** `family`: the number of `ethtool`. Features by the kernel's names; `ENOTSUP` where it does not know one, and nothing is done. */
export function setFeatures(family: number, name: string, features: Readonly<Record<string, boolean>>): Request {
  const writer = genericPayload(et.ETHTOOL_MSG_FEATURES_SET, et.ETHTOOL_GENL_VERSION)
    .nested(
      et.ETHTOOL_A_FEATURES_HEADER,
      (header) => {
        header.text(et.ETHTOOL_A_HEADER_DEV_NAME, name).u32(et.ETHTOOL_A_HEADER_FLAGS, et.ETHTOOL_FLAG_OMIT_REPLY);
      },
      NLA_F_NESTED,
    )
    .nested(
      et.ETHTOOL_A_FEATURES_WANTED,
      (wanted) => wanted.nested(et.ETHTOOL_A_BITSET_BITS, writeBits, NLA_F_NESTED),
      NLA_F_NESTED,
    );
  return { type: family, flags: 0, payload: writer.payload() };

  function writeBits(bits: PayloadWriter): void {
    for (const [feature, isOn] of Object.entries(features)) {
      const writeBit = (bit: PayloadWriter) => {
        bit.text(et.ETHTOOL_A_BITSET_BIT_NAME, feature);
        if (isOn) bit.bytes(et.ETHTOOL_A_BITSET_BIT_VALUE, new Uint8Array(0));
      };
      bits.nested(et.ETHTOOL_A_BITSET_BITS_BIT, writeBit, NLA_F_NESTED);
    }
  }
}

/** Packets on it go to the link's own MAC: both ends of a veth pair have to have the same. */
export function setNoArp(name: string): Request {
  const writer = new PayloadWriter().header(IFINFOMSG_BYTES, (view, at) => {
    view.setUint32(at + 8, IFF_NOARP, true);
    view.setUint32(at + 12, IFF_NOARP, true);
  });
  return { type: RTM_NEWLINK, flags: 0, payload: writer.text(IFLA_IFNAME, name).payload() };
}
