/** Two hosts with an engine each, for one story per test; in the end engines and cluster have to agree. */

import { afterEach, beforeEach } from 'vitest';
import { DRIVER, NETWORK_OPTION } from '../../src/core/engine/engine.ts';
import type { NetworkRequest } from '../../src/core/network-request.ts';
import { decodeEndpoint } from '../../src/core/record-codec.ts';
import { type EndpointRecord, firstAddress, PREFIX } from '../../src/core/records.ts';
import type { Logger } from '../../src/ports/runtime.ts';
import { networkRequest } from '../fixtures/network-request.ts';
import type { SimulatedClusterOptions } from './cluster-options.ts';
import { checkEnginesQuiet } from './engine-invariants.ts';
import { type AttachmentRequest, placeOf } from './fake-containers.ts';
import type { NetworkSpec } from './fake-libnetwork.ts';
import { SimulatedCluster, type SimulatedHost, silent } from './simulated-cluster.ts';

export function useEngines(log: Logger = silent, options: Pick<SimulatedClusterOptions, 'etcdMs'> = {}) {
  let cluster: SimulatedCluster;

  beforeEach(async () => {
    cluster = new SimulatedCluster({ seed: 1, engines: true, log, ...options });
    await cluster.start(2);
  });

  afterEach(async () => {
    await checkEnginesQuiet(cluster);
    await cluster.stop();
  });

  const story = {
    cluster: () => cluster,
    hosts: () => cluster.hosts as [SimulatedHost, SimulatedHost],
    now: () => cluster.clock.now(),
    until: <T>(promise: Promise<T>) => cluster.clock.until(promise),
    pass: (ms: number) => cluster.clock.advance(ms),

    /** `overlayd network create` on the first host, offered to both engines. */
    create: async (name: string, overrides: Partial<NetworkRequest> = {}) => {
      await story.until(story.hosts()[0].running.networks.create(networkRequest(name, overrides)));
      await story.pass(1_000);
    },
    /** `docker run`. */
    run: (host: SimulatedHost, name: string, networks: Readonly<Record<string, AttachmentRequest>>) =>
      story.until(host.engine.run(name, { networks })),

    /** Values of etcd's keys below. */
    stored: (prefix: string) => cluster.etcd.entries(`${PREFIX}${prefix}/`).map(({ value }) => value),
    /** By network and address. */
    claims: () =>
      story
        .stored('endpoints')
        .flatMap((value) => decodeEndpoint(value) ?? [])
        .sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1)),
    addresses: () => story.claims().map(firstAddress),
    /** Names of the engine's networks. */
    offered: ({ engine }: SimulatedHost) => [...engine.objects.values()].map(({ name }) => name).sort(),
    /** Destinations inside the container. */
    routes: (host: SimulatedHost, container: { readonly pid: number }) =>
      host.kernel.machine.snapshot(placeOf(container))!.routes.map(({ destination }) => destination),
  };
  return story;
}

/** `docker network create -d overlayd --ipam-driver overlayd --ipam-opt net=NAME NAME`, but for what is given. */
export function dockerNetwork(name: string, overrides: Partial<NetworkSpec> = {}): NetworkSpec {
  return {
    ...{ name, driver: DRIVER, ipamDriver: DRIVER, internal: false, labels: {}, options: {} },
    ipamOptions: { [NETWORK_OPTION]: name },
    ...overrides,
  };
}

function orderOf(record: EndpointRecord): string {
  return `${record.networkId} ${firstAddress(record)}`;
}
