/** What somebody may do to a host's kernel behind our back. */
import type { Drift } from '../../src/core/drift/drift.ts';
import { HOST, type Op, TUNNEL } from '../../src/core/host-state.ts';

/** By what it is: of the network in the namespace, one of whose ports is `first`. */
export const drifts = (at: string, first: string): Readonly<Record<string, readonly Op[]>> => ({
  'an FDB row of a remote': [
    { kind: 'delete-fdb', at, row: { link: TUNNEL, mac: '02:42:0a:00:00:09', vtep: '10.77.0.2' } },
  ],
  "an FDB row of a port's own MAC": [{ kind: 'delete-fdb', at, row: { link: first, mac: '02:42:0a:00:00:02' } }],
  'an FDB row that leads elsewhere': [
    { kind: 'set-fdb', at, row: { link: TUNNEL, mac: '02:42:0a:00:00:09', vtep: '10.77.0.77' } },
  ],
  'an FDB row too many': [{ kind: 'set-fdb', at, row: { link: TUNNEL, mac: '02:42:0a:00:00:63', vtep: '10.77.0.77' } }],
  'a neighbour row': [
    { kind: 'delete-neighbour', at, neighbour: { link: TUNNEL, address: '10.0.0.9', mac: '02:42:0a:00:00:09' } },
  ],
  'a neighbour row with another MAC': [
    { kind: 'set-neighbour', at, neighbour: { link: TUNNEL, address: '10.0.0.9', mac: '02:42:0a:00:00:63' } },
  ],
  'a neighbour row too many': [
    { kind: 'set-neighbour', at, neighbour: { link: TUNNEL, address: '10.0.0.99', mac: '02:42:0a:00:00:63' } },
  ],
  'the flags of a port': [
    {
      kind: 'set-port',
      at,
      name: first,
      flags: {
        ...{ learning: true, flood: true, multicastFlood: true, broadcastFlood: true },
        ...{ locked: false, hairpin: true, isolated: true, neighbourSuppression: true },
      },
    },
  ],
  'one flag of a port': [
    {
      kind: 'set-port',
      at,
      name: first,
      flags: {
        ...{ learning: false, flood: false, multicastFlood: false, broadcastFlood: false },
        ...{ locked: true, hairpin: false, isolated: true, neighbourSuppression: false },
      },
    },
  ],
  'what the bridge does by itself': [
    { kind: 'set-link', at, name: 'br0', set: { bridge: { stp: true, multicastSnooping: true } } },
  ],
  'a port': [{ kind: 'delete-link', at, name: first }],
  'the bridge': [{ kind: 'delete-link', at, name: 'br0' }],
  'the tunnel': [{ kind: 'delete-link', at, name: TUNNEL }],
  'the uplink': [{ kind: 'delete-link', at: HOST, name: 'ovl4096' }],
  "the gateway's address": [{ kind: 'delete-address', at, address: { link: 'br0', address: '10.0.0.1', prefix: 24 } }],
  'an address too many': [{ kind: 'add-address', at, address: { link: 'br0', address: '10.9.9.9', prefix: 24 } }],
  'the way out of the network': [
    {
      kind: 'delete-route',
      at,
      route: { destination: 'default', gateway: '169.254.0.1', link: 'up0', protocol: '79' },
    },
  ],
  'the way from the host into the network': [
    {
      kind: 'delete-route',
      at: HOST,
      route: { destination: '10.0.0.0/24', gateway: '10.0.0.1', link: 'ovl4096', protocol: '79' },
    },
  ],
  "the network's forwarding": [{ kind: 'set-sysctl', at, key: 'net.ipv4.ip_forward', value: '0' }],
  "the host's forwarding": [{ kind: 'set-sysctl', at: HOST, key: 'net.ipv4.ip_forward', value: '0' }],
  "the network's filter": [{ kind: 'delete-filter', at, family: 'bridge' }],
  "the host's filter": [{ kind: 'delete-filter', at: HOST, family: 'inet' }],
  'the MAC of a port': [{ kind: 'set-link', at, name: first, set: { mac: '0e:00:00:00:00:01' } }],
  'the whole namespace': [{ kind: 'delete-namespace', name: at }],
});

/** As what each of them is told, see {@link shortDrift}. */
export const toldDrifts = (at: string, first: string): Readonly<Record<string, string>> => ({
  'an FDB row of a remote': `web ${at} FDB row 02:42:0a:00:00:09 dev vx0: missing`,
  "an FDB row of a port's own MAC": `web ${at} FDB row 02:42:0a:00:00:02 dev ${first}: missing`,
  'an FDB row that leads elsewhere': `web ${at} FDB row 02:42:0a:00:00:09 dev vx0: wrong`,
  'an FDB row too many': `web ${at} FDB row 02:42:0a:00:00:63 dev vx0: extra`,
  'a neighbour row': `web ${at} neighbour 10.0.0.9 dev vx0: missing`,
  'a neighbour row with another MAC': `web ${at} neighbour 10.0.0.9 dev vx0: wrong`,
  'a neighbour row too many': `web ${at} neighbour 10.0.0.99 dev vx0: extra`,
  'the flags of a port': `web ${at} port flags ${first}: wrong`,
  'one flag of a port': `web ${at} port flags ${first}: wrong`,
  'what the bridge does by itself': `web ${at} link br0: wrong`,
  'a port': `web ${at} link ${first}: missing`,
  'the bridge': `web ${at} link br0: missing`,
  'the tunnel': `web ${at} link vx0: missing`,
  'the uplink': 'web host link ovl4096: missing',
  "the gateway's address": `web ${at} address 10.0.0.1/24 dev br0: missing`,
  'an address too many': `web ${at} address 10.9.9.9/24 dev br0: extra`,
  'the way out of the network': `web ${at} route default dev up0: missing`,
  'the way from the host into the network': 'web host route 10.0.0.0/24 dev ovl4096: missing',
  "the network's forwarding": `web ${at} setting net.ipv4.ip_forward: wrong`,
  "the host's forwarding": '- host setting net.ipv4.ip_forward: wrong',
  "the network's filter": `web ${at} table table bridge overlayd: missing`,
  "the host's filter": '- host table table inet overlayd: missing',
  'the MAC of a port': `web ${at} link ${first}: wrong`,
  'the whole namespace': `web ${at} namespace ${at}: missing`,
});

export const shortDrift = ({ kind, network, place, object, state }: Drift) =>
  `${network || '-'} ${place} ${kind} ${object}: ${state}`;
