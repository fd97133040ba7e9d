import path from 'node:path';
import protobuf from 'protobufjs';
import { describe, expect, it } from 'vitest';
import { decodeGranted, encodeGrant, encodeKeepAlive, encodePut } from '../../../../src/adapters/etcd/lease-client.ts';

const PROTOCOL = path.resolve(import.meta.dirname, '../../../../node_modules/etcd3/proto/rpc.proto');
const root = new protobuf.Root().loadSync(PROTOCOL, { keepCase: true });
const LEASE = '7587869123456789012';

/** As etcd's own description of its messages reads them. */
function read(type: string, bytes: Uint8Array): object {
  const message = root.lookupType(`etcdserverpb.${type}`);
  return message.toObject(message.decode(bytes), { longs: String, bytes: String, defaults: false });
}

function write(type: string, fields: object): Uint8Array {
  const message = root.lookupType(`etcdserverpb.${type}`);
  return message.encode(message.fromObject(fields)).finish();
}

describe("etcd's messages", () => {
  it('are what is asked', () => {
    expect(read('LeaseGrantRequest', encodeGrant(10))).toEqual({ TTL: '10' });
    expect(read('LeaseKeepAliveRequest', encodeKeepAlive(LEASE))).toEqual({ ID: LEASE });
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    expect(read('PutRequest', encodePut('/overlayd/v2/live/ä', '{}', LEASE))).toEqual({
      key: base64('/overlayd/v2/live/ä'),
      value: base64('{}'),
      lease: LEASE,
    });
  });

  it('are understood, whatever else they hold', () => {
    const header = { cluster_id: '14841639068965178418', member_id: '1', revision: '70000000000', raft_term: '3' };
    const granted = { header, ID: LEASE, TTL: '10' };
    expect(decodeGranted(write('LeaseGrantResponse', granted))).toEqual({ id: LEASE, ttlSeconds: 10 });
    expect(decodeGranted(write('LeaseKeepAliveResponse', granted))).toEqual({ id: LEASE, ttlSeconds: 10 });
    const gone = decodeGranted(write('LeaseKeepAliveResponse', { header, ID: LEASE }));
    expect(gone).toEqual({ id: LEASE, ttlSeconds: 0 });
    expect(decodeGranted(new Uint8Array())).toEqual({ id: '0', ttlSeconds: 0 });
  });
});
