/**
 * What keeping a lease needs of etcd's protocol (`etcdserverpb.Lease`, `etcdserverpb.KV/Put`), by gRPC alone: etcd3's own
 * keeping of leases notices a loss later than the server does, and does not make good for it.
 */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { Client, type ClientDuplexStream, type ClientUnaryCall, credentials, Metadata } from '@grpc/grpc-js';
import { CALL_TIMEOUT_MS, channelOptions, type EtcdTarget } from './target.ts';

/** What a server grants: its id, a 64-bit number as text, and how long it lives without a word. Not positive: it is gone. */
export interface Granted {
  readonly id: string;
  readonly ttlSeconds: number;
}

export type KeepAliveStream = ClientDuplexStream<string, Granted>;

/** One connection to one endpoint, for one call or stream at a time. Errors are gRPC's own, as everywhere in this folder. */
export class LeaseClient {
  readonly #client: Client;
  #underWay: ClientUnaryCall | undefined;

  constructor(target: EtcdTarget, endpoint: string) {
    const { tls } = target;
    const secure = tls && credentials.createSsl(Buffer.from(tls.ca), Buffer.from(tls.key), Buffer.from(tls.cert));
    const address = endpoint.replace(/^https?:\/\//, '');
    this.#client = new Client(address, secure ?? credentials.createInsecure(), channelOptions(target));
  }

  grant(ttlSeconds: number): Promise<Granted> {
    return this.#call('/etcdserverpb.Lease/LeaseGrant', encodeGrant(ttlSeconds), decodeGranted);
  }

  /** Puts the key under the lease. */
  async put(key: string, value: string, lease: string): Promise<void> {
    await this.#call('/etcdserverpb.KV/Put', encodePut(key, value, lease), () => undefined);
  }

  /** Each id that is written is answered with what is left of the lease. */
  keepAlive(): KeepAliveStream {
    const path = '/etcdserverpb.Lease/LeaseKeepAlive';
    return this.#client.makeBidiStreamRequest(path, encodeKeepAlive, decodeGranted, requireLeader());
  }

  /** A call that is under way fails. */
  close(): void {
    this.#underWay?.cancel();
    this.#client.close();
  }

  #call<T>(path: string, request: Buffer, decode: (bytes: Buffer) => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + CALL_TIMEOUT_MS };
      this.#underWay = this.#client.makeUnaryRequest(
        path,
        same,
        decode,
        request,
        requireLeader(),
        options,
        (error, answer) => {
          if (error) reject(error);
          else resolve(answer as T);
        },
      );
    });
  }
}

/** A member without a leader then refuses, and ends its streams. */
function requireLeader(): Metadata {
  const metadata = new Metadata();
  metadata.set('hasleader', 'true');
  return metadata;
}

const same = (bytes: Buffer): Buffer => bytes;

// ---------------------------------------------------------------- messages: etcd/api/etcdserverpb/rpc.proto

/** `LeaseGrantRequest`. */
export function encodeGrant(ttlSeconds: number): Buffer {
  return finish(new BinaryWriter().tag(1, 0).int64(ttlSeconds));
}

/** `LeaseKeepAliveRequest`. */
export function encodeKeepAlive(id: string): Buffer {
  return finish(new BinaryWriter().tag(1, 0).int64(id));
}

/** `PutRequest`. */
export function encodePut(key: string, value: string, lease: string): Buffer {
  const bytes = (text: string) => Buffer.from(text, 'utf8');
  return finish(new BinaryWriter().tag(1, 2).bytes(bytes(key)).tag(2, 2).bytes(bytes(value)).tag(3, 0).int64(lease));
}

/** `LeaseGrantResponse`, `LeaseKeepAliveResponse`: what counts of them is alike. A number that is 0 is not sent. */
export function decodeGranted(bytes: Uint8Array): Granted {
  const reader = new BinaryReader(bytes);
  let [id, ttlSeconds] = ['0', 0];
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 2) id = String(reader.int64());
    else if (field === 3) ttlSeconds = Number(reader.int64());
    else reader.skip(wireType);
  }
  return { id, ttlSeconds };
}

function finish(writer: BinaryWriter): Buffer {
  return Buffer.from(writer.finish());
}
