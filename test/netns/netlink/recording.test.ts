/** What this machine's kernel says means what is recorded of another one. */
import { expect, it } from 'vitest';
import { decodeAddress } from '../../../src/adapters/netlink/address.ts';
import { decodeFlow } from '../../../src/adapters/netlink/conntrack.ts';
import { decodeLink } from '../../../src/adapters/netlink/link.ts';
import { decodeDone, decodeError, type Message, messagesOf } from '../../../src/adapters/netlink/message.ts';
import { decodeNsid } from '../../../src/adapters/netlink/namespace-id.ts';
import { decodeNeighbour } from '../../../src/adapters/netlink/neighbour.ts';
import { decodeNetconf } from '../../../src/adapters/netlink/netconf.ts';
import { decodeElementCounts, decodeRuleCount, decodeTableEvent } from '../../../src/adapters/netlink/nftables.ts';
import { decodeRoute } from '../../../src/adapters/netlink/route.ts';
import recorded from '../../fixtures/netlink-messages.json' with { type: 'json' };
import { type Recorded, recordMessages } from './recording.ts';

/** By the beginning of a name, without its family. */
const DECODERS: Readonly<Record<string, (message: Message) => unknown>> = {
  'link: ': decodeLink,
  'event: port': decodeLink,
  'address: ': decodeAddress,
  'route: ': decodeRoute,
  neighbour: decodeNeighbour,
  'fdb: ': decodeNeighbour,
  'event: row deleted': decodeNeighbour,
  netconf: decodeNetconf,
  'event: forwarding': decodeNetconf,
  nsid: decodeNsid,
  flow: decodeFlow,
  'event: nft': decodeTableEvent,
  'nft rules': decodeRuleCount,
  'nft elements': decodeElementCounts,
  acknowledgement: decodeError,
  'error: ': decodeError,
  'done: ': decodeDone,
  // A number that counts up, of whose message there is nothing else.
  generation: ({ type, start, end }) => [type, end - start],
};

function meaningOf(messages: Recorded): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(messages).map(([name, hex]) => {
      const [, decode] = Object.entries(DECODERS).find(([start]) => name.replace(/^ipv6 /, '').startsWith(start))!;
      return [name, [...messagesOf(Buffer.from(hex, 'hex'))].map(decode)];
    }),
  );
}

it('means the same', async () => {
  expect(meaningOf(await recordMessages())).toEqual(meaningOf(recorded));
});
