/**
 * `node row-floor.ts NAMESPACE COUNT`: two rows for each of so many endpoints, a neighbour and an FDB row of the namespace's
 * `vx0`, as messages that are made before; then nothing but sending them. Prints the milliseconds that it took, and those
 * of processor time, as JSON.
 */
import { insideNamespace } from '../../../src/adapters/native/namespace.ts';
import { enlargeReceiveBuffer } from '../../../src/adapters/native/receive-buffer.ts';
import {
  AF,
  bindSocket,
  MSG,
  netlinkAddress,
  openSocket,
  receive,
  SOCK,
  send,
} from '../../../src/adapters/native/socket.ts';
import { decodeLink, getLink } from '../../../src/adapters/netlink/link.ts';
import { encodeMessage, messageBytes, type Request } from '../../../src/adapters/netlink/message.ts';
import { replaceFdb, replaceNeighbour } from '../../../src/adapters/netlink/neighbour.ts';
import { NetlinkSocket } from '../../../src/adapters/netlink/socket.ts';
import { NETLINK_ROUTE, NLM_F_ACK, NLM_F_REQUEST } from '../../../src/adapters/netlink/uapi/netlink.ts';

const [name, count] = process.argv.slice(2) as [string, string];
const namespace = `/run/netns/${name}`;
/** As many bytes, and messages, as the agent sends at once. */
const AT_ONCE = { bytes: 64 * 1024, messages: 1_000 };
const ACK_BYTES = 64 * 1024;

const asking = new NetlinkSocket({ namespace });
const { index: link } = asking.get(getLink({ name: 'vx0' }), decodeLink)!;
asking.close();

const endpoints = Array.from({ length: Number(count) }, (_, nth) => {
  const bytes = [16 + (nth >> 8), nth & 255];
  const mac = `02:42:0a:c8:${bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':')}`;
  return { link, mac, address: `10.200.${bytes.join('.')}` };
});
const requests = [
  ...endpoints.map((row) => replaceNeighbour(row)),
  ...endpoints.map(({ mac }) => replaceFdb({ link, mac, vtep: '10.77.0.2' })),
];
const datagrams = datagramsOf(requests);

const fd = insideNamespace(namespace, () => openSocket(AF.NETLINK, SOCK.RAW, NETLINK_ROUTE));
enlargeReceiveBuffer(fd, 4 * 1024 * 1024);
bindSocket(fd, netlinkAddress());
const answer = new Uint8Array(ACK_BYTES);
const cpu = process.cpuUsage();
const begun = performance.now();
for (const datagram of datagrams) {
  send(fd, datagram);
  // The acknowledgement of the last one; anything before it would be an error.
  const length = receive(fd, answer, MSG.DONTWAIT) ?? 0;
  if (length < 20 || new DataView(answer.buffer).getInt32(16, true) !== 0) throw new Error('the kernel refused a row');
}
const ms = performance.now() - begun;
const { user, system } = process.cpuUsage(cpu);
process.stdout.write(JSON.stringify({ ms, cpuMs: (user + system) / 1_000 }));

/** The last of each is acknowledged. */
function datagramsOf(all: readonly Request[]): Uint8Array[] {
  const made: Uint8Array[] = [];
  for (let next = 0; next < all.length; ) {
    const bytes = new Uint8Array(AT_ONCE.bytes);
    let [at, here] = [0, 0];
    for (; next < all.length; next++, here++) {
      const request = all[next]!;
      const after = all[next + 1];
      const isLast =
        after === undefined ||
        here + 1 === AT_ONCE.messages ||
        at + messageBytes(request) + messageBytes(after) > bytes.length;
      at = encodeMessage(request, NLM_F_REQUEST | (isLast ? NLM_F_ACK : 0), next + 1, bytes, at);
      if (!isLast) continue;
      next += 1;
      break;
    }
    made.push(bytes.subarray(0, at));
  }
  return made;
}
