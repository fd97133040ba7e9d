import type { NamesNews } from '../../../../src/core/dns/names-protocol.ts';
import type { Zone } from '../../../../src/core/dns/zone.ts';
import { ZoneChanges, type ZoneSources } from '../../../../src/core/dns/zone-changes.ts';
import { Zones } from '../../../../src/core/dns/zones.ts';

/** Tells zones, through the text that goes over the line. */
export function takeNews(zones: Zones, news: Iterable<NamesNews>, session = 1): void {
  for (const each of news) {
    const heard = JSON.parse(JSON.stringify(each)) as NamesNews;
    if (heard.kind === 'zone') zones.update(heard, session);
    if (heard.kind === 'clients') zones.updateClients(heard, session);
    if (heard.kind === 'static') zones.updateStatic(heard, session);
    if (heard.kind === 'services') zones.updateServices(heard, session);
    if (heard.kind === 'whole') zones.becomeWhole(heard.networkId, session);
  }
}

/** A zone from nothing, as the view has it. */
export function buildZone(sources: ZoneSources, networkId: string, { ttlSeconds }: { ttlSeconds: number }) {
  const zones = new Zones();
  zones.setTtl(ttlSeconds);
  takeNews(zones, new ZoneChanges(sources).take(networkId, true));
  return zones.get(networkId) as Zone | undefined;
}
