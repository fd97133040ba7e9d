/** What somebody may do to a host's kernel behind our back. */
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
