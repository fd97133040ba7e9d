/** What is known of the host that the agent runs on, as data. */

export interface HostAddress {
  readonly link: string;
  readonly address: string;
  readonly prefix: number;
  /** Why a host cannot be known by it. Absent: it can. */
  readonly unfit?: Unfit;
}

/**
 * Of IPv6. `temporary`: one of many, for privacy (RFC 8981). `deprecated`: for what goes on, not for what begins (RFC 4862,
 * 5.5.4). `tentative`: it is being found out whether another host has it (RFC 4862, 5.4); `duplicate`: one has.
 */
export type Unfit = 'temporary' | 'deprecated' | 'tentative' | 'duplicate';

/** Links of container engines, hypervisors, VPNs and our own: no way to other hosts unless the user says so. */
const INNER_LINK =
  /^(lo$|docker|br-|virbr|vnet|veth|tap|tun|cni|podman|nerdctl|flannel|cali|cilium|lxc|lxd|weave|kube|wg|ov)/;

export function isInnerLink(name: string): boolean {
  return INNER_LINK.test(name);
}

export interface HostRoute {
  readonly destination: string;
  readonly link: string;
  /** The kernel made it for an address of the link: what it leads to is on the link. */
  readonly onLink: boolean;
  /** Addresses of all its next hops, but for link-local ones of IPv6. */
  readonly gateways: readonly string[];
}

export interface Underlay {
  readonly mtuBytes: number;
  /** In words what has it, e.g. `link eth0`, `a route by eth0`. */
  readonly limit: string;
}

export interface PortBinding {
  readonly transport: 'tcp' | 'udp';
  readonly address: string;
  readonly port: number;
}

export type BindProblem =
  /** `by`: `name (pid N)` when a process has it and can be told; `kernel` for what has no process, such as VXLAN. */
  | { readonly kind: 'in-use'; readonly by: { readonly process: string } | 'kernel' | undefined }
  | { readonly kind: 'other'; readonly reason: string };
