import { expect, it } from 'vitest';
import { RowReader, writeRows } from '../../../../src/adapters/kernel/rows.ts';
import { PayloadWriter, viewOf } from '../../../../src/adapters/netlink/attributes.ts';
import type { Message, Request } from '../../../../src/adapters/netlink/message.ts';
import {
  decodeNeighbour,
  deleteFdb,
  replaceFdb,
  replaceNeighbour,
} from '../../../../src/adapters/netlink/neighbour.ts';
import type { ManyRequests, NetlinkSocket } from '../../../../src/adapters/netlink/socket.ts';
import * as nl from '../../../../src/adapters/netlink/uapi/neighbour.ts';
import type { FdbRow, Neighbour } from '../../../../src/core/host-state.ts';
import {
  ALL_ZEROS,
  fdbRows,
  fdbTable,
  neighbourRows,
  neighbourTable,
  type RowTable,
} from '../../../../src/core/row-table.ts';

const VX0 = 7;
const ROOM = 4_096;
const mac = 'fe:42:ff:00:80:01';
const links = new Map([[VX0, 'vx0']]);

/** A socket that keeps the payloads of what it is asked. */
function written(table: RowTable, isSet: boolean) {
  const payloads: Uint8Array[] = [];
  let asked: ManyRequests | undefined;
  const socket: Pick<NetlinkSocket, 'requestMany'> = {
    requestMany(requests, write) {
      asked = requests;
      const bytes = new Uint8Array(ROOM);
      for (let nth = 0; nth < requests.count; nth++)
        payloads.push(bytes.slice(0, write(nth, viewOf(bytes.fill(0xff)), 0)));
      return new Map();
    },
  };
  writeRows(socket, table, new Map([...table.links.keys()].map((number) => [number, VX0])), isSet);
  return { payloads, asked: asked! };
}

const message = ({ type, payload }: Request): Message => ({
  ...{ type, flags: 0, sequence: 0, port: 0 },
  ...{ view: viewOf(payload), start: 0, end: payload.length },
});

const neighbours: readonly Neighbour[] = [
  { link: 'vx0', address: '255.0.128.9', mac },
  { link: 'vx0', address: '10.0.0.9', mac: '02:42:0a:00:00:09' },
];
const ends: readonly FdbRow[] = [
  { link: 'vx0', mac, vtep: '192.168.255.1', port: undefined },
  { link: 'vx0', mac: '02:42:0a:00:00:09', vtep: '10.77.0.2', port: 65_535 },
];
/** Of the bridge, of a MAC that is behind the tunnel. */
const ofBridge: FdbRow = { link: 'vx0', mac };
const fdbRequests = (request: typeof replaceFdb, rows = ends) => rows.map((row) => request({ ...row, link: VX0 }));

it('a table is written as each of its rows would be', () => {
  const set = written(neighbourTable(neighbours), true);
  const single = neighbours.map((row) => replaceNeighbour({ ...row, link: VX0 }));
  expect(set.payloads).toEqual(single.map(({ payload }) => Uint8Array.from(payload)));
  expect(set.asked).toMatchObject({ type: single[0]!.type, flags: single[0]!.flags, count: 2 });
  for (const [isSet, request] of [
    [true, replaceFdb],
    [false, deleteFdb],
  ] as const) {
    const rows = [...ends, ofBridge];
    const { payloads, asked } = written(fdbTable(rows), isSet);
    const requests = fdbRequests(request, rows);
    expect(payloads).toEqual(requests.map(({ payload }) => Uint8Array.from(payload)));
    expect(asked).toMatchObject({ type: requests[0]!.type, flags: requests[0]!.flags });
    expect(asked.most).toBeGreaterThanOrEqual(Math.max(...payloads.map(({ length }) => length)));
  }
});

it('and read back as the same rows', () => {
  const reader = new RowReader();
  for (const row of neighbours) expect(reader.neighbour(message(replaceNeighbour({ ...row, link: VX0 })))).toBe(true);
  expect(neighbourRows({ kind: 'neighbour', links, words: reader.take('neighbour', 2) })).toEqual(neighbours);
  const fdb = new RowReader(VX0);
  for (const request of fdbRequests(replaceFdb)) expect(fdb.fdb(message(request))).toBe(true);
  expect(fdbRows({ kind: 'fdb', links, words: fdb.take('fdb', 2) })).toEqual(ends);
});

it('an IPv4 address that is written as IPv6 is not taken for it', () => {
  const reader = new RowReader();
  const mapped = { ...neighbours[1]!, address: `::ffff:${neighbours[1]!.address}` };
  for (const row of [neighbours[0]!, mapped, neighbours[1]!])
    expect(reader.neighbour(message(replaceNeighbour({ ...row, link: VX0 })))).toBe(row === mapped ? undefined : true);
  expect(neighbourRows({ kind: 'neighbour', links, words: reader.take('neighbour', 2) })).toEqual(neighbours);
});

it("a port's row that the kernel made for a VLAN besides is not a second one", () => {
  const row = (vlan: number): Request => {
    const writer = new PayloadWriter().header(nl.NDMSG_BYTES, (view, at) => {
      view.setUint8(at, 7);
      view.setUint32(at + 4, VX0, true);
      view.setUint16(at + 8, nl.NUD_NOARP, true);
    });
    writer.mac(nl.NDA_LLADDR, mac).u32(nl.NDA_MASTER, 501);
    // In the host's order.
    if (vlan > 0) writer.be16(nl.NDA_VLAN, vlan << 8);
    return { type: 28, flags: 0, payload: writer.payload() };
  };
  expect(decodeNeighbour(message(row(1)))).toMatchObject({ vlan: 1, master: 501 });
  const reader = new RowReader();
  expect([0, 1].map((vlan) => reader.fdb(message(row(vlan))))).toEqual([true, undefined]);
  expect(fdbRows({ kind: 'fdb', links, words: reader.take('fdb', 1) })).toEqual([{ link: 'vx0', mac }]);
});

it('a flood row is added to a list, every other one is written over', () => {
  const [CREATE, REPLACE, APPEND] = [0x400, 0x100, 0x800];
  const flood = { link: VX0, mac: ALL_ZEROS, vtep: '10.77.0.2' };
  expect(replaceFdb(flood).flags).toBe(CREATE | APPEND);
  expect(replaceFdb({ ...flood, mac }).flags).toBe(CREATE | REPLACE);
});

it("a row of a tunnel end that is not on the tunnel is nobody's", () => {
  const reader = new RowReader(VX0 + 1);
  for (const request of fdbRequests(replaceFdb)) expect(reader.fdb(message(request))).toBeUndefined();
  expect(reader.take('fdb', 0)).toHaveLength(0);
});
