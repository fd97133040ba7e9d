/** What people should know of the comparison of an engine's networks with the cluster's, with the mend; one line each. */
import type { EngineNetwork } from './engine.ts';
import type { Offers } from './network-offers.ts';

/** Networks without IPv4 came with Docker 28.0. */
const IPV6_ALONE_SINCE = 28;

/** `version`: of the engine, e.g. `26.1.5`. One that was never reached is not asked for anything. */
export function hasIpv6Alone(version: string | undefined): boolean {
  return version === undefined || Number.parseInt(version, 10) >= IPV6_ALONE_SINCE;
}

export function offerProblems({ taken, strays, unable }: Pick<Offers, 'taken' | 'strays' | 'unable'>): string[] {
  return [
    ...taken.map(
      ({ network, by }) =>
        `Docker has another network named ${network.name} (driver ${by.driver}): containers cannot join overlayd's by that name; remove or rename that one`,
    ),
    ...unable.map(
      ({ name }) =>
        `network ${name} has no IPv4, which this host's Docker cannot do: it takes Docker ${IPV6_ALONE_SINCE} or later; containers of others join it all the same (overlayd network connect)`,
    ),
    ...strays.map(describeStray),
  ];
}

export function describeStray({ name, driver }: EngineNetwork): string {
  return `Docker's network ${name} (driver ${driver}) takes its subnet from overlayd, which has addresses for networks of driver overlayd only: remove it (docker network rm ${name}) and make it with -d overlayd`;
}
