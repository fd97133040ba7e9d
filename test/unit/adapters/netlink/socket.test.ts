/** What the socket makes of the kernel's answers, also of those that come seldom: byte for byte, without a kernel. */
import { describe, expect, it } from 'vitest';
import { viewOf } from '../../../../src/adapters/netlink/attributes.ts';
import type { Message, Request } from '../../../../src/adapters/netlink/message.ts';
import { NetlinkSocket } from '../../../../src/adapters/netlink/socket.ts';
import * as nl from '../../../../src/adapters/netlink/uapi/netlink.ts';
import {
  type Answer,
  acknowledge,
  datagram,
  errorPayload,
  ScriptedTransport,
  systemError,
  type Told,
} from './scripted-transport.ts';

const ROW = 28;
const [EPERM, ENOENT, EBUSY, ENOTSUP] = [1, 2, 16, 95];
/** Of the receive buffer, what the kernel may take for them. */
const TWO_ANSWERS = 2 * 4096;

const request: Request = { type: 30, flags: 0, payload: new Uint8Array(8) };
const several = (count: number) => Array.from({ length: count }, () => request);

function open(answer: Answer, bufferBytes?: number): { transport: ScriptedTransport; socket: NetlinkSocket } {
  const transport = new ScriptedTransport(answer, bufferBytes);
  return { transport, socket: new NetlinkSocket({ timeoutMs: 60_000 }, transport) };
}

/** A row of a dump, which is a number. */
const row = (sequence: number, value: number, more: Partial<Told> = {}): Told => {
  const payload = new Uint8Array(4);
  viewOf(payload).setUint32(0, value, true);
  return { type: ROW, sequence, flags: nl.NLM_F_MULTI, payload, ...more };
};
const end = (sequence: number, more: Partial<Told> = {}): Told => ({
  ...{ type: nl.NLMSG_DONE, sequence, flags: nl.NLM_F_MULTI, payload: errorPayload(0) },
  ...more,
});
const readRow = ({ view, start }: Message) => view.getUint32(start, true);
const changed = { flags: nl.NLM_F_MULTI | nl.NLM_F_DUMP_INTR };
const failure = (message: RegExp) =>
  expect.objectContaining({ code: 'data-path-failed', retryable: true, message: expect.stringMatching(message) });

/** The two ways to dump, which differ in whose time it takes. */
const WAYS = [
  ['dump', async (socket: NetlinkSocket, none?: readonly string[]) => socket.dump(request, readRow, none)],
  ['dumpLater', (socket: NetlinkSocket, none?: readonly string[]) => socket.dumpLater(request, readRow, none)],
] as const;

describe.each(WAYS)('%s', (_, dump) => {
  it('has all rows of all datagrams up to the end', async () => {
    const { socket, transport } = open(([{ sequence }]) => [
      datagram(row(sequence, 1), row(sequence, 2)),
      datagram(row(sequence, 3)),
      datagram(end(sequence)),
    ]);
    expect(await dump(socket)).toEqual([1, 2, 3]);
    expect(transport.sent).toEqual([[{ sequence: expect.any(Number), flags: nl.NLM_F_REQUEST | nl.NLM_F_DUMP }]]);
  });

  it.each([
    ['a row', changed, {}],
    ['the end', {}, changed],
  ])(
    'is asked for again when %s says that something changed, and the first is dropped',
    async (_where, ofRow, ofEnd) => {
      const { socket, transport } = open(([{ sequence }], nth) =>
        nth === 0
          ? [datagram(row(sequence, 1), row(sequence, 2, ofRow)), datagram(end(sequence, ofEnd))]
          : [datagram(row(sequence, 2), row(sequence, 3)), datagram(end(sequence))],
      );
      expect(await dump(socket)).toEqual([2, 3]);
      expect(transport.sent).toHaveLength(2);
      const [first, second] = transport.sent.map(([sent]) => sent!.sequence);
      expect(second).not.toBe(first);
    },
  );

  it('is given up when it changed each of eight times, and the socket is as good as before', async () => {
    const { socket, transport } = open(([{ sequence }], nth) => [
      datagram(row(sequence, 1, nth < 8 ? changed : {})),
      datagram(end(sequence)),
    ]);
    await expect(dump(socket)).rejects.toEqual(failure(/changed each of the 8 times .* try again/));
    expect(transport.sent).toHaveLength(8);
    expect(socket.closed).toBe(false);
    expect(await dump(socket)).toEqual([1]);
  });

  it('that ends in an error is none, however many rows came before', async () => {
    const { socket } = open(([{ sequence }]) => [
      datagram(row(sequence, 1)),
      datagram(end(sequence, { payload: errorPayload(EBUSY) })),
    ]);
    await expect(dump(socket)).rejects.toEqual(failure(/resource busy or locked \(EBUSY\)/));
    expect(await dump(socket, ['EBUSY'])).toEqual([]);
  });

  it('that ends in an error with words is refused in those', async () => {
    const flags = nl.NLM_F_MULTI | nl.NLM_F_ACK_TLVS;
    const payload = errorPayload(ENOTSUP, (writer) => writer.text(nl.NLMSGERR_ATTR_MSG, 'No such filter'));
    const { socket } = open(([{ sequence }]) => [datagram(end(sequence, { flags, payload }))]);
    await expect(dump(socket)).rejects.toEqual(failure(/: No such filter \(ENOTSUP\)/));
  });

  it('is none when the kernel refuses it as it stands', async () => {
    const { socket } = open(([asked]) => [datagram(acknowledge(asked, ENOENT))]);
    await expect(dump(socket)).rejects.toEqual(failure(/\(ENOENT\)/));
    expect(await dump(socket, ['ENOENT'])).toEqual([]);
  });

  it('of which rows found no room is to be tried again, by another socket', async () => {
    const { socket, transport } = open(([{ sequence }]) => [
      datagram(row(sequence, 1)),
      systemError('ENOBUFS'),
      datagram(row(sequence, 3), end(sequence)),
    ]);
    await expect(dump(socket)).rejects.toEqual(failure(/its answers were lost/));
    expect([socket.closed, transport.closed]).toEqual([true, true]);
    await expect(dump(socket)).rejects.toEqual(failure(/the socket is closed/));
    expect(transport.sent).toHaveLength(1);
  });

  it('takes a datagram of whatever length', async () => {
    const values = Array.from({ length: 50_000 }, (_v, at) => at);
    const { socket } = open(([{ sequence }]) => [
      datagram(...values.map((value) => row(sequence, value)), end(sequence)),
    ]);
    expect(await dump(socket)).toEqual(values);
  });

  it('has nothing of what is another socket’s, or was asked before', async () => {
    const { socket } = open(([{ sequence }]) => [
      datagram(row(sequence, 1, { port: 0 }), row(sequence - 1, 2), row(sequence + 1, 3)),
      datagram(end(sequence, { port: 4712 }), end(sequence - 1)),
      datagram(row(sequence, 4), end(sequence)),
    ]);
    expect(await dump(socket)).toEqual([4]);
  });
});

describe('what another thread does', () => {
  const later = [
    ['dumpLater', (socket: NetlinkSocket) => socket.dumpLater(request, readRow)],
    ['requestLater', (socket: NetlinkSocket) => socket.requestLater(request)],
  ] as const;

  it.each(later)('is said when it cannot send (%s), and the socket is closed', async (_, ask) => {
    const { socket, transport } = open(() => {
      throw new Error('send failed');
    });
    await expect(ask(socket)).rejects.toEqual(failure(/: send failed/));
    expect(transport.closed).toBe(true);
  });
});

describe('requests', () => {
  it('go together, and the last asks for an answer: all that is not told of by then went well', () => {
    const { socket, transport } = open((requests) => [
      datagram(acknowledge(requests[1]!, EPERM)),
      datagram(acknowledge(requests[3]!)),
    ]);
    const refused = { ok: false, code: 'EPERM', text: 'operation not permitted' };
    expect(socket.request(several(4))).toEqual([{ ok: true }, refused, { ok: true }, { ok: true }]);
    const flags = transport.sent[0]!.map((sent) => sent.flags & nl.NLM_F_ACK);
    expect(flags).toEqual([0, 0, 0, nl.NLM_F_ACK]);
  });

  it('are no more at once than answers find room', () => {
    const { socket, transport } = open(
      (requests, nth) => [datagram(acknowledge(requests.at(-1)!, nth === 1 ? EPERM : 0))],
      TWO_ANSWERS,
    );
    expect(socket.request(several(5)).map(({ ok }) => ok)).toEqual([true, true, true, false, true]);
    expect(transport.sent.map((sent) => sent.map(({ flags }) => flags & nl.NLM_F_ACK))).toEqual([[0, 4], [0, 4], [4]]);
  });

  it('of which nothing was heard when answers were lost are not taken for done', () => {
    const { socket, transport } = open((requests) => [
      datagram(acknowledge(requests[1]!, EPERM)),
      systemError('ENOBUFS'),
      datagram(acknowledge(requests[2]!)),
    ]);
    const lost = { ok: false, code: 'ENOBUFS', text: "the kernel's answer was lost" };
    expect(socket.request(several(3))).toEqual([lost, expect.objectContaining({ code: 'EPERM' }), lost]);
    expect([socket.closed, transport.closed]).toEqual([true, true]);
  });

  it('that would have followed are not sent, and that is said', () => {
    const { socket, transport } = open(() => [systemError('ENOBUFS')], TWO_ANSWERS);
    expect(() => socket.request(several(3))).toThrow(failure(/the kernel's answer was lost/));
    expect(transport.sent).toHaveLength(1);
  });

  it('get their own answers, and nobody else’s', () => {
    const { socket } = open(([first, second]) => [
      datagram({ ...acknowledge(second!, EPERM), port: 0 }),
      datagram({ ...acknowledge(first, EPERM), sequence: first.sequence - 1 }),
      datagram({ ...acknowledge(second!, EPERM), sequence: second!.sequence + 1 }),
      datagram(row(first.sequence, 7), row(second!.sequence, 8), row(second!.sequence, 9, { port: 1 })),
      datagram(acknowledge(second!)),
    ]);
    const heard: number[][] = [];
    const outcomes = socket.request(several(2), (position, message) => heard.push([position, readRow(message)]));
    expect(outcomes).toEqual([{ ok: true }, { ok: true }]);
    expect(heard).toEqual([
      [0, 7],
      [1, 8],
    ]);
  });

  it('are refused by what the kernel names, where it has no words', () => {
    const { socket } = open((requests) => [
      datagram(acknowledge(requests[0], ENOENT, (writer) => writer.u32(nl.NLMSGERR_ATTR_OFFS, 20))),
      datagram(acknowledge(requests[1]!, ENOENT, (writer) => writer.u32(nl.NLMSGERR_ATTR_MISS_TYPE, 3))),
      datagram(
        acknowledge(requests[2]!, ENOENT, (writer) =>
          writer.text(nl.NLMSGERR_ATTR_MSG, 'No such table').u32(nl.NLMSGERR_ATTR_OFFS, 20),
        ),
      ),
    ]);
    const texts = socket.request(several(3)).map((outcome) => !outcome.ok && outcome.text);
    const none = 'no such file or directory';
    expect(texts).toEqual([
      `${none}, of the attribute at byte 20 of the request`,
      `${none}, attribute 3 is missing`,
      'No such table',
    ]);
  });

  it('are not sent when one has no room in a datagram', () => {
    const { socket, transport } = open(() => []);
    expect(() => socket.request([{ ...request, payload: new Uint8Array(64 * 1024) }])).toThrow(/more than 65536 bytes/);
    expect(transport.sent).toEqual([]);
  });
});

describe('many requests of one type', () => {
  const rows = { type: ROW, flags: 0, count: 5, most: 4 };
  const write = (position: number, view: DataView, at: number) => {
    view.setUint32(at, position, true);
    return at + 4;
  };

  it('fail by their positions, whichever datagram they went in', () => {
    const written: number[] = [];
    const { socket } = open((requests) => {
      written.push(...requests.map(readRow));
      const refused = requests.filter((each) => [1, 4].includes(readRow(each))).map((each) => acknowledge(each, EPERM));
      return [datagram(...refused, acknowledge(requests.at(-1)!, readRow(requests.at(-1)!) === 4 ? EPERM : 0))];
    }, 3 * 4096);
    expect([...socket.requestMany(rows, write)].map(([position, { code }]) => [position, code])).toEqual([
      [1, 'EPERM'],
      [4, 'EPERM'],
    ]);
    expect(written).toEqual([0, 1, 2, 3, 4]);
  });

  it('of which answers were lost are none that were done', () => {
    const { socket, transport } = open((_, nth) => [nth === 0 ? systemError('ENOBUFS') : datagram()]);
    const failures = socket.requestMany(rows, write);
    expect([...failures.values()].map(({ code }) => code)).toEqual(Array(5).fill('ENOBUFS'));
    expect(transport.closed).toBe(true);
    const next = open(() => [systemError('ENOBUFS')], TWO_ANSWERS);
    expect(() => next.socket.requestMany(rows, write)).toThrow(failure(/the kernel's answer was lost/));
  });
});

describe('a socket', () => {
  it('is closed when no answer comes in time: one that is late would be taken for another', () => {
    const transport = new ScriptedTransport(() => []);
    const socket = new NetlinkSocket({ timeoutMs: 0 }, transport);
    expect(() => socket.request([request])).toThrow(failure(/no answer in 0 ms/));
    expect([socket.closed, transport.closed]).toEqual([true, true]);
  });

  it.each(['ENOBUFS', 'EBADF'])('is closed when it cannot send (%s)', (code) => {
    const { socket, transport } = open(() => {
      throw systemError(code);
    });
    expect(() => socket.request([request])).toThrow(failure(/no memory for the request|EBADF/));
    expect(transport.closed).toBe(true);
  });

  it('that is closed is asked for nothing more: its descriptor may be another one’s', async () => {
    const { socket, transport } = open(() => []);
    socket.close();
    expect(() => socket.request([request])).toThrow(failure(/the socket is closed/));
    expect(() => socket.indexOf('lo')).toThrow(failure(/the socket is closed/));
    expect(() => socket.hasIndex(1)).toThrow(failure(/the socket is closed/));
    await expect(socket.requestLater(request)).rejects.toEqual(failure(/the socket is closed/));
    expect(transport.sent).toEqual([]);
  });

  it('tells what the kernel answered later as well', async () => {
    const { socket } = open(([asked]) => [datagram(acknowledge(asked, EBUSY))]);
    expect(await socket.requestLater(request)).toEqual(expect.objectContaining({ ok: false, code: 'EBUSY' }));
  });
});
