/** What a runtime is told of an attachment. Source: CNI 1.1.0, "ADD Success"; of 0.4.0, "Result". */
import type { AttachmentReport } from '../../agent/attachments/attachments.ts';
import { familyOfAddress } from '../../core/ip.ts';
import { type Fields, fieldsOf, listOf, textOf, textsOf } from './fields.ts';

/** A container's resolver, as somebody asked for it. */
export interface Resolver {
  readonly nameservers: readonly string[];
  readonly domain?: string | undefined;
  readonly search: readonly string[];
  readonly options: readonly string[];
}

/** `asked`: of the capability `dns`; `configured`: of the configuration. Undefined where neither says anything. */
export function resolverOf(asked: Fields, configured: Fields): Resolver | undefined {
  const one = (first: readonly string[], second: readonly string[]) => (first.length > 0 ? first : second);
  const resolver = {
    nameservers: one(textsOf(asked, 'servers', 'dns.'), textsOf(configured, 'nameservers', 'dns.')),
    domain: textOf(configured, 'domain', 'dns.'),
    search: one(textsOf(asked, 'searches', 'dns.'), textsOf(configured, 'search', 'dns.')),
    options: one(textsOf(asked, 'options', 'dns.'), textsOf(configured, 'options', 'dns.')),
  };
  const { nameservers, domain, search, options } = resolver;
  return nameservers.length + search.length + options.length === 0 && domain === undefined ? undefined : resolver;
}

const EVERYWHERE = { 4: '0.0.0.0/0', 6: '::/0' } as const;

export interface ResultOptions {
  readonly cniVersion: string;
  /** As the runtime calls it. */
  readonly netns: string;
  readonly resolver: Resolver | undefined;
  /** The network leads nowhere: its gateway answers names. */
  readonly internal: boolean;
  /** Of the plugins before. */
  readonly previous: Fields;
}

export function renderResult(report: AttachmentReport, options: ResultOptions): string {
  const { cniVersion, netns, resolver, internal, previous } = options;
  const before = listOf(previous, 'interfaces', 'prevResult.');
  const newest = cniVersion === '1.1.0';
  const { ifname, mac, mtu } = report;
  const result = {
    ...previous,
    cniVersion,
    interfaces: [...before, { name: ifname, mac, ...(newest ? { mtu } : {}), sandbox: netns }],
    ips: [
      ...listOf(previous, 'ips', 'prevResult.'),
      ...report.addresses.map(({ address, prefix, gateway }) => ({
        ...(cniVersion.startsWith('0.') ? { version: String(familyOfAddress(address)) } : {}),
        address: `${address}/${prefix}`,
        ...(internal || gateway === undefined ? {} : { gateway }),
        interface: before.length,
      })),
    ],
    routes: [
      ...listOf(previous, 'routes', 'prevResult.'),
      ...report.defaultGateways.map((gw) => ({ dst: EVERYWHERE[familyOfAddress(gw)], gw })),
      ...report.onLink.map((dst) => ({ dst })),
    ],
    dns: dnsOf(report, resolver, fieldsOf(previous, 'dns', 'prevResult.')),
  };
  return `${JSON.stringify(result)}\n`;
}

/** Name servers of all that were before come first: who asks in that order hears of all networks. */
function dnsOf({ nameServers }: AttachmentReport, resolver: Resolver | undefined, previous: Fields): object {
  const { nameservers = [], domain, search = [], options = [] } = resolver ?? {};
  const servers = nameservers.length > 0 ? nameservers : nameServers;
  const all = {
    nameservers: [...textsOf(previous, 'nameservers'), ...servers],
    domain: domain ?? textOf(previous, 'domain'),
    search: [...textsOf(previous, 'search'), ...search],
    options: [...textsOf(previous, 'options'), ...options],
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined && value.length > 0));
}
