import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import protobuf from 'protobufjs';
import { afterAll, describe, expect, it } from 'vitest';
import { loadSync } from '../../../deploy/etcd-protocol.ts';

interface Method {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly originalName: string;
  readonly requestSerialize: (message: object) => Uint8Array;
  readonly requestDeserialize: (bytes: Uint8Array) => object;
  readonly responseSerialize: (message: object) => Uint8Array;
  readonly responseDeserialize: (bytes: Uint8Array) => object;
}
type Services = Record<string, Record<string, Method>>;

/** As etcd3's connection pool says it. */
const OPTIONS = { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true };
const etcd3 = createRequire(import.meta.resolve('etcd3'));
const file = path.resolve(path.dirname(etcd3.resolve('etcd3')), '../proto/rpc.proto');
const all: Services = etcd3('@grpc/proto-loader').loadSync(file, OPTIONS);
/** Messages and enumerations are in there, too. */
const theirs: Services = Object.fromEntries(
  Object.entries(all).filter(([, entry]) => Object.values(entry).some((method) => method.path !== undefined)),
);

const directory = mkdtempSync(path.join(tmpdir(), 'overlayd-protocol-'));
const protocol = new protobuf.Root().loadSync(file, { keepCase: true }).toJSON();
writeFileSync(path.join(directory, 'rpc.json'), JSON.stringify(protocol));
const ours = loadSync(path.join(directory, 'rpc.proto'), OPTIONS) as Services;

afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

const key = Buffer.from('/overlayd/v2/a');
const requests: [service: string, method: string, request: object][] = [
  ['KV', 'Range', { key, range_end: key, limit: '9007199254740993', sort_order: 'DESCEND', serializable: true }],
  [
    'KV',
    'Txn',
    {
      compare: [{ result: 'EQUAL', target: 'MOD', key, mod_revision: '7' }],
      success: [{ request_put: { key, value: Buffer.from([0, 255]), lease: '-1' } }],
      failure: [{ request_delete_range: { key } }],
    },
  ],
  ['Watch', 'Watch', { create_request: { key, start_revision: 5, progress_notify: true, filters: ['NODELETE'] } }],
  ['Lease', 'LeaseGrant', { TTL: 10 }],
];
const responses: [service: string, method: string, response: object][] = [
  ['KV', 'Range', { header: { revision: '9007199254740993' }, kvs: [{ key, value: key, version: 1 }], count: 1 }],
  ['Watch', 'Watch', { header: { revision: 8 }, watch_id: 3, events: [{ type: 'DELETE', kv: { key } }] }],
  ['KV', 'Txn', { succeeded: true, responses: [{ response_put: { header: { revision: 2 } } }] }],
];

describe("etcd's services", () => {
  it('are all there, with the paths and streams that the loader of gRPC finds', () => {
    const shape = (services: Services) =>
      Object.fromEntries(
        Object.entries(services).map(([name, methods]) => [
          name,
          Object.entries(methods).map(([method, { path: at, requestStream, responseStream, originalName }]) => [
            // etcd3 calls hashKV what the other loader has as hashKv.
            ...[method, at, requestStream, responseStream, originalName.replace('hashKv', 'hashKV')],
          ]),
        ]),
      );
    expect(Object.keys(ours)).toContain('etcdserverpb.KV');
    expect(shape(ours)).toEqual(shape(theirs));
  });

  it.each(requests)('%s.%s is asked in the same bytes', (service, method, request) => {
    const [mine, other] = [ours, theirs].map((services) => services[`etcdserverpb.${service}`]![method]!);
    const bytes = mine!.requestSerialize(request);
    expect(Buffer.isBuffer(bytes)).toBe(true);
    expect(bytes).toEqual(other!.requestSerialize(request));
    expect(mine!.requestDeserialize(bytes)).toEqual(other!.requestDeserialize(bytes));
  });

  it.each(responses)('%s.%s is answered with the same object', (service, method, response) => {
    const [mine, other] = [ours, theirs].map((services) => services[`etcdserverpb.${service}`]![method]!);
    const bytes = other!.responseSerialize(response);
    expect(mine!.responseSerialize(response)).toEqual(bytes);
    expect(mine!.responseDeserialize(bytes)).toEqual(other!.responseDeserialize(bytes));
  });
});
