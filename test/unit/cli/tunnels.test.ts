/** How encryption is shown. */
import { expect, it } from 'vitest';
import { NODE_ID, NOW, network, node, run, status, tunnel } from './fake-agent.ts';

const never = { ...tunnel, nodeId: 'fe', nodeName: 'host3', endpoint: '', lastHandshakeMs: 0, sentBytes: 0 };
const relayed = { ...tunnel, nodeId: 'fd', nodeName: 'host4', relayedBy: 'host1' };
const json = {
  Node: 'host2',
  Backend: 'kernel',
  Device: 'ovlwg0',
  Endpoint: '10.9.0.2:51840',
  RelayedBy: '',
  LastHandshake: '2026-03-01T11:58:55.000Z',
  SentBytes: 4_404_019,
  ReceivedBytes: 312,
  Mtu: 1_440,
  Problem: '',
};

const peers = [
  { ...status.peers[0]!, tunnel },
  { ...status.peers[0]!, nodeId: 'fe', name: 'host3', tunnel: never },
  { ...status.peers[0]!, nodeId: 'fd', name: 'host4', tunnel: relayed },
];

it('status has a line for WireGuard and one for each tunnel', async () => {
  const { out } = await run('status', { answers: { getStatus: () => ({ ...status, encryption: 'default', peers }) } });
  expect(out).toContain('WireGuard:  kernel (ovlwg0); networks are encrypted that do not say otherwise\n');
  expect(out.split('\n').slice(-5)).toEqual([
    'TUNNEL TO   ENDPOINT              HANDSHAKE   SENT      RECEIVED   MTU',
    'host2       10.9.0.2:51840        1m5s ago    4.2 MiB   312 B      1440',
    'host3       not known: it calls   never       0 B       312 B      1440',
    'host4       relayed by host1      1m5s ago    4.2 MiB   312 B      1440',
    '',
  ]);
});

it('status says that a host has none where the cluster is encrypted, and nothing where it is not', async () => {
  const self = { ...node, wireguardBackend: '' };
  const answers = { getStatus: () => ({ ...status, self, encryption: 'required' }) };
  expect((await run('status', { answers })).out).toContain(
    'WireGuard:  none on this host; all networks are encrypted\n',
  );
  expect((await run('status')).out).not.toMatch(/WireGuard|TUNNEL/);
});

it('status says that a key is being exchanged, and that what runs WireGuard ended', async () => {
  const wireguard = { keyExchange: 'members go over to the new key: host2', endings: 2, lastEndedMs: NOW - 65_000 };
  const answers = { getStatus: () => ({ ...status, peers, wireguard }) };
  const { out } = await run('status', { answers });
  expect(out).toContain('kernel (ovlwg0); gone 2 times, last 1m5s ago, and made anew\n');
  expect(out).toContain('Key exchange:  members go over to the new key: host2\n');
  expect(JSON.parse((await run('status --format json', { answers })).out)).toMatchObject({
    Wireguard: { KeyExchange: wireguard.keyExchange, Endings: 2, LastEnded: '2026-03-01T11:58:55.000Z' },
  });
});

it('status has it as JSON', async () => {
  const answers = { getStatus: () => ({ ...status, encryption: 'required', peers: [peers[0]!, status.peers[0]!] }) };
  const { out } = await run('status --format json', { answers });
  expect(JSON.parse(out)).toMatchObject({ Encryption: 'required', Peers: [{ Tunnel: json }, { Tunnel: null }] });
});

it('node inspect says what a node offers, and the tunnel to it', async () => {
  const answers = { getNode: () => ({ ...node, self: false, tunnel }) };
  const [shown] = JSON.parse((await run(`node inspect ${NODE_ID}`, { answers })).out);
  expect(shown).toMatchObject({
    Wireguard: { Backend: 'kernel', Keys: [{ PublicKey: 'a2V5', Port: 51_840 }] },
    Tunnel: json,
  });
});

it('network ls and inspect say whether a network is encrypted, and how it reaches the other hosts', async () => {
  const encrypted = { ...network, encrypted: true, internal: true, tunnels: [tunnel] };
  const answers = { listNetworks: () => ({ networks: [encrypted] }), getNetwork: () => encrypted };
  expect((await run('network ls', { answers })).out).toContain('active (internal, encrypted)\n');
  expect((await run(['network', 'ls', '--format', '{{.Encrypted}}'], { answers })).out).toBe('true\n');
  const [shown] = JSON.parse((await run('network inspect web', { answers })).out);
  expect(shown).toMatchObject({ Encrypted: true, Tunnels: [json] });
  const [plain] = JSON.parse((await run('network inspect web')).out);
  expect(plain).toMatchObject({ Encrypted: false });
  expect(plain).not.toHaveProperty('Tunnels');
});

it('how long the path has been as it is cannot be taken for how long a packet takes, and who was not heard yet may be well', async () => {
  const path = { state: 'passes', changedMs: NOW - 65_000, lossPercent: 0, roundTripMs: 0.4, mtu: 1_450 } as const;
  const said = { ...status, peers: [{ ...status.peers[0]!, heardMsAgo: -1, path }] };
  const { out } = await run('status', { answers: { getStatus: () => said } });
  expect(out.split('\n').slice(-3)).toEqual([
    'PEER    ADDRESS         STATE   HEARD     DATA PATH         LOSS   ROUND TRIP   MTU',
    'host2   10.9.0.2:7946   alive   not yet   passes for 1m5s   0 %    0.4 ms       1450',
    '',
  ]);
});
