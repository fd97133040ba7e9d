import { lookup } from 'node:dns/promises';
import { readdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { OverlaydError } from '../../core/errors.ts';
import type { BindProblem, PortBinding } from '../../core/host-facts.ts';
import { ROUTE_PROTOCOL } from '../../core/host-state.ts';
import { DEFAULT_ROUTE as DEFAULT } from '../../core/ip.ts';
import { isNetworkNamespace, isUplink } from '../../core/plan/naming.ts';
import type { HostFacts } from '../../ports.ts';
import { findBindProblem } from './port-binding.ts';

/** Runs a command to its end; see `createExec`. */
export type Run = (
  argv: readonly string[],
  options?: { readonly input?: string },
) => Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }>;

interface LinkRow {
  readonly ifname: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info: readonly { readonly local: string; readonly prefixlen: number; readonly scope: string }[];
}

interface RouteRow {
  readonly type?: string;
  readonly dst: string;
  readonly dev?: string;
  readonly gateway?: string;
  readonly protocol?: string;
  readonly nexthops?: readonly { readonly gateway?: string; readonly dev?: string }[];
  readonly metrics?: readonly { readonly mtu?: number }[];
}

export interface HostFactsDeps extends Pick<HostFacts, 'nameServers'> {
  readonly run: Run;
}

/** Facts of the network namespace that `run` runs in. Throws `data-path-failed` when the kernel does not tell. */
export function createHostFacts({ run, nameServers }: HostFactsDeps): HostFacts {
  async function ask<T>(lines: readonly string[]): Promise<readonly (readonly T[])[]> {
    const argv = ['ip', '-4', '-json', '-force', '-batch', '-'];
    const { stdout, stderr } = await run(argv, { input: `${lines.join('\n')}\n` });
    const dumps = stdout.split('\n').filter((line) => line.startsWith('['));
    if (dumps.length > 0) return dumps.map((line) => JSON.parse(line) as T[]);
    throw unreadable('addresses and routes', stderr);
  }

  const linksWithAddresses = async () => (await ask<LinkRow>(['address show']))[0] ?? [];

  return {
    bindProblem,
    bootId: async () => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim(),
    hostname: () => hostname(),

    async addresses() {
      const links = await linksWithAddresses();
      return links
        .filter(({ ifname }) => !isUplink(ifname))
        .flatMap(({ ifname, addr_info }) =>
          addr_info
            .filter(({ scope }) => scope === 'global')
            .map(({ local, prefixlen }) => ({ link: ifname, address: local, prefix: prefixlen })),
        );
    },

    async links() {
      const { stdout, stderr } = await run(['ip', '-json', 'link', 'show']);
      if (!stdout.startsWith('[')) throw unreadable('links', stderr);
      return (JSON.parse(stdout) as LinkRow[]).map(({ ifname }) => ifname);
    },

    async routes() {
      const [rows = []] = await ask<RouteRow>(['route show table main']);
      return rows
        .filter(({ dev, protocol }) => protocol !== ROUTE_PROTOCOL && !isUplink(dev ?? ''))
        .map(({ dst, dev, gateway, protocol, nexthops = [] }) => ({
          destination: dst === 'default' ? DEFAULT : dst.includes('/') ? dst : `${dst}/32`,
          link: dev ?? nexthops[0]?.dev ?? '',
          onLink: protocol === 'kernel' && gateway === undefined,
          gateways: [gateway, ...nexthops.map((hop) => hop.gateway)].filter((address) => address !== undefined),
        }));
    },

    nameServers,

    async linksTo(addresses) {
      const routes = await getRoutes(addresses);
      return new Map(routes.flatMap(({ dst, dev }) => (dev === undefined ? [] : [[dst, dev] as const])));
    },

    async lookUp(hostName) {
      const found = await lookup(hostName, { all: true, family: 4 }).catch(() => []);
      return found.map(({ address }) => address).sort();
    },

    async underlayMtu(source, peers) {
      const [links, routes] = await Promise.all([
        linksWithAddresses(),
        getRoutes(peers.map((peer) => `${peer} from ${source}`)),
      ]);
      const mtuOf = (name: string | undefined) => links.find(({ ifname }) => ifname === name)?.mtu;
      const mtus = routes
        .filter(({ type }) => type !== 'local')
        .map(({ dev, metrics }) => metrics?.find(({ mtu }) => mtu !== undefined)?.mtu ?? mtuOf(dev))
        .filter((mtu) => mtu !== undefined);
      if (mtus.length > 0) return Math.min(...mtus);
      const own = links.find(({ addr_info }) => addr_info.some(({ local }) => local === source));
      if (own) return own.mtu;
      throw new OverlaydError(
        'invalid-address',
        `${source} is not an address of this host; \`ip -4 address\` lists them`,
      );
    },
  };

  /** Those that there is no route for are left out. */
  async function getRoutes(questions: readonly string[]): Promise<RouteRow[]> {
    if (questions.length === 0) return [];
    const argv = ['ip', '-4', '-json', '-force', '-batch', '-'];
    const lines = questions.map((question) => `route get ${question}`);
    const { stdout } = await run(argv, { input: `${lines.join('\n')}\n` });
    return stdout
      .split('\n')
      .filter((line) => line.startsWith('['))
      .flatMap((line) => JSON.parse(line) as RouteRow[]);
  }
}

function unreadable(what: string, stderr: string): OverlaydError {
  const message = `the kernel does not tell its ${what}: ${stderr.trim()}`;
  return new OverlaydError('data-path-failed', message, { retryable: true });
}

async function bindProblem(socket: PortBinding): Promise<BindProblem | undefined> {
  const problem = await findBindProblem(socket);
  if (problem?.kind !== 'in-use' || problem.by !== 'kernel' || socket.transport !== 'udp') return problem;
  // Networks of ours from before the identity was lost: a member takes them away by itself.
  const namespaces = await readdir('/run/netns').catch(() => []);
  return namespaces.some(isNetworkNamespace) ? undefined : problem;
}
