/**
 * Length in bytes of a gossip message on the wire (protobuf, `proto/overlayd/v1/gossip.proto`), without encoding it:
 * encoding is most of what a thousand simulated nodes would do. The network checks it against the codec now and then.
 * Strings are ASCII, as ids, keys and JSON values are.
 */
import type { Delta, Digest, GossipMessage, StorePlace } from '../../src/core/gossip/message.ts';

export function messageBytes(message: GossipMessage): number {
  let bytes = textBytes(message.from);
  if (message.digest) bytes += nestedBytes(digestBytes(message.digest));
  if (message.delta) bytes += nestedBytes(deltaBytes(message.delta));
  for (const { nodeId, startedAt, incarnation, accusers } of message.members) {
    let news = textBytes(nodeId) + numberBytes(startedAt) + numberBytes(incarnation);
    for (const accuser of accusers) news += 1 + varintBytes(accuser.length) + accuser.length;
    bytes += nestedBytes(news);
  }
  if (message.relay !== undefined) bytes += 1 + varintBytes(message.relay);
  // An optional field that is there is sent, also when it is empty.
  if (message.epoch !== undefined) bytes += 1 + varintBytes(message.epoch.length) + message.epoch.length;
  if (message.withoutStore) bytes += 2;
  if (message.store) bytes += nestedBytes(placeBytes(message.store));
  return bytes;
}

function placeBytes({ endpoints, caCertificate, certificate, key }: StorePlace): number {
  const texts = textBytes(caCertificate) + textBytes(certificate) + textBytes(key);
  return endpoints.reduce((sum, endpoint) => sum + nestedBytes(endpoint.length), texts);
}

export function deltaBytes({ from, to, records }: Delta): number {
  let bytes = numberBytes(from) + numberBytes(to);
  for (const { key, revision, value } of records) {
    const optional = value === undefined ? 0 : 1 + varintBytes(value.length) + value.length;
    bytes += nestedBytes(textBytes(key) + numberBytes(revision) + optional);
  }
  return bytes;
}

function digestBytes({ completeTo, ahead }: Digest): number {
  let packed = 0;
  for (const revision of ahead) packed += varintBytes(revision);
  return numberBytes(completeTo) + (packed === 0 ? 0 : nestedBytes(packed));
}

function nestedBytes(bytes: number): number {
  return 1 + varintBytes(bytes) + bytes;
}

/** Fields that have their default are left out. */
function textBytes(text: string): number {
  return text.length === 0 ? 0 : 1 + varintBytes(text.length) + text.length;
}

function numberBytes(value: number): number {
  return value === 0 ? 0 : 1 + varintBytes(value);
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes++;
  return bytes;
}
