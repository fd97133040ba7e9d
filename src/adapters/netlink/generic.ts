/** Generic netlink (`linux/genetlink.h`): families have names, and numbers that the kernel gives out when it runs. */
import { AttributeReader, PayloadWriter } from './attributes.ts';
import type { Message, Request } from './message.ts';
import type { NetlinkSocket } from './socket.ts';
import * as nl from './uapi/genetlink.ts';

/** A payload of a family's command, whose attributes follow. */
export function genericPayload(command: number, version: number): PayloadWriter {
  return new PayloadWriter().header(nl.GENL_HDRLEN, (view, at) => {
    view.setUint8(at, command);
    view.setUint8(at + 1, version);
  });
}

/** Of what a family answers. */
export function genericAttributes({ view, start, end }: Message): AttributeReader {
  return new AttributeReader(view, start + nl.GENL_HDRLEN, end);
}

/** Asks for a family by its name; the kernel loads its module, where there is one. `ENOENT` where there is none. */
export function getFamily(name: string): Request {
  const payload = genericPayload(nl.CTRL_CMD_GETFAMILY, 1).text(nl.CTRL_ATTR_FAMILY_NAME, name).payload();
  return { type: nl.GENL_ID_CTRL, flags: 0, payload };
}

/** Its number, which is the type of its messages. */
export function decodeFamily(message: Message): number {
  const attributes = genericAttributes(message);
  while (attributes.next()) if (attributes.type === nl.CTRL_ATTR_FAMILY_ID) return attributes.u16();
  return 0;
}

/** Undefined: the kernel has no such family. */
export function lookUpFamily(socket: Pick<NetlinkSocket, 'get'>, name: string): number | undefined {
  return socket.get(getFamily(name), decodeFamily, ['ENOENT']);
}
