/**
 * The responder on real sockets over a made-up cluster, as a process of its own: the test starts it inside the
 * namespace that plays the host. Argument: a {@link HarnessConfig} as JSON. Prints `ready`, then for every line on its
 * standard input the statistics as one line of JSON; ends with its standard input.
 */
import { createInterface } from 'node:readline';
import { createForwarder } from '../../../src/adapters/dns/forwarder.ts';
import { SocketListeners } from '../../../src/adapters/dns/listeners.ts';
import { parseCidr } from '../../../src/core/cidr.ts';
import { createResponder } from '../../../src/names/responder.ts';
import type { Logger } from '../../../src/ports/runtime.ts';
import { type FakeNetwork, fakeView } from '../../unit/core/dns/fake-view.ts';
import { buildZone } from '../../unit/core/dns/zone-of.ts';

export interface HarnessConfig {
  readonly networks: readonly (FakeNetwork & {
    readonly namespacePath: string;
    readonly gateways: readonly string[];
  })[];
  /** Ids of all networks of the container behind `NETWORK ADDRESS`. */
  readonly onNetworks: Readonly<Record<string, readonly string[]>>;
  readonly upstreams: readonly string[];
  /** Where the host itself is asked. */
  readonly host: string;
}

const config = JSON.parse(process.argv[2] ?? '') as HarnessConfig;
const log = (fields: object, message: string) => process.stderr.write(`${message} ${JSON.stringify(fields)}\n`);
const logger: Logger = { error: log, warn: log, info: log, debug: () => undefined, child: () => logger };

const sources = { view: fakeView(config.networks), hidden: () => new Set<string>() };
const zones = new Map(config.networks.map(({ id }) => [id, buildZone(sources, id, { ttlSeconds: 5 })]));
const responder = createResponder({
  zone: (networkId) => zones.get(networkId),
  overlay: () =>
    config.networks.flatMap(({ cidr, cidr6 }) => [cidr, cidr6 ?? []].flat().map((each) => parseCidr(each)!)),
  networksOf: (networkId, address) => config.onNetworks[`${networkId} ${address}`] ?? [],
  forwarder: createForwarder({ servers: () => config.upstreams }),
  random: { next: Math.random },
});
const listeners = new SocketListeners({ handler: responder.handler, logger });

const bindAll = () =>
  Promise.all([
    listeners.ensure({ networkId: '', namespacePath: '/proc/self/ns/net', addresses: [config.host] }),
    ...config.networks.map(({ id, namespacePath, gateways }) =>
      listeners.ensure({ networkId: id, namespacePath, addresses: gateways }),
    ),
  ]);
await bindAll();
process.stdout.write('ready\n');
for await (const _line of createInterface({ input: process.stdin })) {
  await bindAll();
  process.stdout.write(`${JSON.stringify(responder.stats())}\n`);
}
await listeners.closeAll();
