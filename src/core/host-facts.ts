/** What is known of the host that the agent runs on, as data. */

export interface HostAddress {
  readonly link: string;
  readonly address: string;
  readonly prefix: number;
}

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
  /** IPv4 addresses of all its next hops. */
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
