/** What has to be done to a host so that it is a member, or why it cannot be one. Pure. */
import { OverlaydError } from '../../core/errors.ts';
import type { RemoteFacts, Who } from './facts.ts';
import { type Arch, archOfMachine, isNewer } from './release.ts';

export interface HostOptions {
  /** Of the node; undefined: its host name. */
  readonly name?: string | undefined;
  /** Where members reach it; undefined: where ssh did. */
  readonly address?: string | undefined;
  readonly keeps?: 'store' | 'nothing' | undefined;
}

export interface Cluster {
  readonly id: string;
  /** Whether the members' addresses are of IPv6. */
  readonly isV6: boolean;
}

export interface HostPlan {
  /** Undefined: what is there stays. */
  readonly install:
    | { readonly arch: Arch; readonly kind: 'deb' | 'archive'; readonly instead: string | undefined }
    | undefined;
  readonly startAgent: boolean;
  /** Undefined: it is a member already. */
  readonly join: { readonly advertiseAddress: string | undefined } | undefined;
  readonly nodeName: string;
  readonly keeps: 'store' | 'nothing' | undefined;
}

/** Debian's package says the same. */
const GLIBC: readonly number[] = [2, 28];
/** `README.md`, requirements. */
const KERNEL: readonly number[] = [5, 18];

/**
 * `wanted`: the version that would be installed. Throws `already-member` for a member of another cluster, `host-unsuitable` where
 * overlayd does not run, `conflict` where what is asked for is not so and cannot be made so.
 */
export function planHost(
  facts: RemoteFacts,
  who: Who,
  cluster: Cluster,
  options: HostOptions,
  wanted: string,
): HostPlan {
  const { agent, version } = facts;
  const isMember = agent !== undefined && agent.clusterId !== '';
  if (isMember && agent.clusterId !== cluster.id) {
    throw new OverlaydError(
      'already-member',
      `it is node ${agent.nodeName} of another cluster (${agent.clusterId.slice(0, 12)}): \`overlayd leave\` there first`,
    );
  }
  if (isMember && options.name !== undefined && options.name !== agent.nodeName) {
    throw new OverlaydError(
      'already-member',
      `it is a member as ${agent.nodeName}, not ${options.name}: \`overlayd leave\` there first`,
    );
  }
  const isWanted = version === undefined || (!isMember && isNewer(wanted, version));
  const reason = isWanted || agent === undefined ? unsuitable(facts) : undefined;
  if (reason !== undefined) throw new OverlaydError('host-unsuitable', reason);
  return {
    install: isWanted
      ? { arch: archOfMachine(facts.machine)!, kind: facts.hasApt ? 'deb' : 'archive', instead: version }
      : undefined,
    startAgent: isWanted || agent === undefined,
    join: isMember ? undefined : { advertiseAddress: options.address ?? usableAddress(who, cluster) },
    nodeName: (isMember ? agent.nodeName : options.name) ?? facts.name,
    keeps: options.keeps,
  };
}

/** Where ssh came in others may call too; of the other family they may not. */
function usableAddress({ address }: Who, { isV6 }: Cluster): string | undefined {
  if (address === undefined || address.includes(':') !== isV6) return undefined;
  return /^(127\.|::1$|fe80:)/i.test(address) ? undefined : address;
}

/** Why overlayd does not run there, in words. */
function unsuitable({ machine, kernel, libc, hasSystemd }: RemoteFacts): string | undefined {
  if (archOfMachine(machine) === undefined) {
    return `its processor is of the kind ${machine || 'that uname does not tell'}; overlayd is made for x86_64 and aarch64`;
  }
  const glibc = /^glibc (\d+)\.(\d+)/.exec(libc) ?? /(?:GLIBC|GNU libc).*\s(\d+)\.(\d+)$/i.exec(libc);
  if (!glibc)
    return `its C library is ${libc || 'unknown'}; overlayd needs glibc ${GLIBC.join('.')} or newer, as Debian 12 has`;
  if (isBelow(glibc.slice(1, 3).map(Number), GLIBC)) {
    return `its glibc ${glibc[1]}.${glibc[2]} is too old; overlayd needs ${GLIBC.join('.')} or newer, as Debian 12 has`;
  }
  const release = /^(\d+)\.(\d+)/.exec(kernel);
  if (release && isBelow(release.slice(1, 3).map(Number), KERNEL)) {
    return `its kernel ${kernel} is too old; overlayd needs ${KERNEL.join('.')} or newer, as Debian 12 has`;
  }
  if (hasSystemd) return undefined;
  return 'systemd does not run there: install overlayd by hand, run `overlayd agent` under your own supervisor, and say this again';
}

function isBelow(
  [major = 0, minor = 0]: readonly number[],
  [leastMajor = 0, leastMinor = 0]: readonly number[],
): boolean {
  return major < leastMajor || (major === leastMajor && minor < leastMinor);
}
