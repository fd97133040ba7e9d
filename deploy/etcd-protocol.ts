/**
 * etcd's services as etcd3 wants them of `@grpc/proto-loader`, whose place this takes in the bundles: that one parses the
 * protocol files at every start and makes descriptors of them, which only reflection would use. It is a quarter of the
 * agent's start.
 */
import { readFileSync } from 'node:fs';
import protobuf, { type IConversionOptions, type INamespace, type Type } from 'protobufjs/light.js';

const PACKAGE = 'etcdserverpb';

/** `path` is that of the protocol file; the build has put what it says beside it, as JSON. */
export function loadSync(path: string, options: IConversionOptions): Record<string, object> {
  const protocol: INamespace = JSON.parse(readFileSync(path.replace(/proto$/, 'json'), 'utf8'));
  const root = protobuf.Root.fromJSON(protocol);
  root.resolveAll();
  const services = root.lookup(PACKAGE, protobuf.Namespace) as protobuf.Namespace | null;
  const definitions = (services?.nestedArray ?? [])
    .filter((entry) => entry instanceof protobuf.Service)
    .map(({ name, methodsArray }) => {
      const full = `${PACKAGE}.${name}`;
      return [full, Object.fromEntries(methodsArray.map((method) => [method.name, define(method, full, options)]))];
    });
  return Object.fromEntries(definitions);
}

function define(method: protobuf.Method, service: string, options: IConversionOptions): object {
  const { name, resolvedRequestType: request, resolvedResponseType: response } = method;
  return {
    path: `/${service}/${name}`,
    requestStream: method.requestStream === true,
    responseStream: method.responseStream === true,
    requestSerialize: serializer(request!),
    requestDeserialize: deserializer(request!, options),
    responseSerialize: serializer(response!),
    responseDeserialize: deserializer(response!, options),
    // The methods of etcd3's clients: LeaseGrant is leaseGrant.
    originalName: name[0]!.toLowerCase() + name.slice(1),
  };
}

function serializer(type: Type): (message: object) => Uint8Array {
  return (message) => type.encode(type.fromObject(message)).finish();
}

function deserializer(type: Type, options: IConversionOptions): (bytes: Uint8Array) => object {
  return (bytes) => type.toObject(type.decode(bytes), options);
}
