/** Who may say what in the tunnels: members alone, each in its own name. */
import { expect, test } from 'vitest';
import { Capture } from '../lab/capture.ts';
import { joinArguments, untilEncryptable, untilReady } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { type Inner, vxlanFrame } from '../lab/injection.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const lab = useLab({ hosts: 3 });
const one = () => lab().host(1);
const two = () => lab().host(2);
const three = () => lab().host(3);

const WORDS = 'said by somebody';
const VNI = 4096;
const COPIES = 3;

let inside: Capture;

/** Of the tunnels' devices, as they say it. */
function uapi(host: Host): Promise<string> {
  const ask = `perl -MIO::Socket::UNIX -e 'my $socket = IO::Socket::UNIX->new("/var/run/wireguard/ovlwg0.sock") or die $!;
    print $socket "get=1\\n\\n"; while (<$socket>) { last if $_ eq "\\n"; print }'`;
  return host.must(['sh', '-c', ask]);
}

async function keyOf(host: Host): Promise<string> {
  const [node] = await one().json('node', 'inspect', host.name);
  return Buffer.from(node.Wireguard.Keys[0].PublicKey, 'base64').toString('hex');
}

async function innerVtep(host: Host): Promise<string> {
  const text = await host.must(['ip', '-n', 'ovl-wg', '-4', '-o', 'address', 'show', 'dev', 'ovlwg0']);
  return /inet (198\.18\.[\d.]+)/.exec(text)![1]!;
}

/** Perl: datagrams, given as hexadecimal digits, to a data port, from an address that need not be the host's (ip(7), IP_TRANSPARENT). */
const SEND = `
  use Socket;
  my ($from, $to, $datagram, $copies) = @ARGV;
  socket my $socket, AF_INET, SOCK_DGRAM, 0 or die $!;
  setsockopt $socket, 0, 19, pack 'i', 1 or die $!;
  bind $socket, pack_sockaddr_in(0, inet_aton $from) or die $!;
  for (1 .. $copies) {
    send $socket, pack('H*', $datagram), 0, pack_sockaddr_in(4789, inet_aton $to) or die $!;
  }
`;

/** Sends what a container at `from` would say to c1, through the tunnels of the host. */
async function send(host: Host, source: string, to: string, from: string): Promise<void> {
  const inner: Inner = { vni: VNI, from, to: '10.50.0.2', words: WORDS };
  const frame = vxlanFrame({ sender: '', receiver: '', from: source, to }, inner);
  // Behind type, IP and UDP.
  const datagram = frame.slice(2 * (2 + 20 + 8));
  await host.mustExec('ovl-wg', ['perl', '-e', SEND, source, to, datagram, String(COPIES)]);
}

async function sayInTunnel(host: Host, source: string, to: string, from: string): Promise<void> {
  await send(host, source, to, from);
  // What is answered now was sent after it.
  await untilReaches(host, `c${host.name.slice(1)}`, '10.50.0.2');
}

async function delivered(): Promise<number> {
  return (await inside.count()).words[0]!;
}

test('a member speaks in its own name', async ({ skip }) => {
  const line = joinArguments(await one().mustOverlayd('init', '--encrypt', '--advertise-addr', one().address));
  for (const host of [two(), three()]) await host.mustOverlayd(...line, '--advertise-addr', host.address);
  await untilReady(lab().hosts);
  await untilEncryptable(one());
  await one().mustOverlayd('network', 'create', '--subnet', '10.50.0.0/24', 'secret');
  for (const [at, host] of lab().hosts.entries()) {
    expect(await attach(host, `c${at + 1}`, 'secret', '--ip', `10.50.0.${at + 2}`)).toContain('10.50.0');
  }
  for (const host of [two(), three()]) await untilReaches(host, `c${host.name.slice(1)}`, '10.50.0.2');
  const [{ Wireguard }] = await one().json('node', 'inspect', 'h1');
  skip(Wireguard.Backend !== 'wireguard-go', 'the kernel has WireGuard, whose devices have no socket to ask');
  inside = await Capture.start(one(), [WORDS], 'c1');
  await sayInTunnel(two(), await innerVtep(two()), await innerVtep(one()), '10.50.0.3');
  expect(await delivered()).toBe(COPIES);
});

test('and in no other member’s', async () => {
  const before = await delivered();
  const [to, other] = [await innerVtep(one()), await innerVtep(three())];
  await sayInTunnel(two(), other, to, '10.50.0.4');
  await sayInTunnel(two(), other.replace('198.18', '198.19'), to, '10.50.0.4');
  await sayInTunnel(two(), two().address, to, '10.50.0.3');
  expect(await delivered()).toBe(before);
});

test('a removed member’s key is gone from all others, and nothing of it is heard', async () => {
  const [gone, from, to] = [await keyOf(three()), await innerVtep(three()), await innerVtep(one())];
  for (const host of [one(), two()]) expect(await uapi(host)).toContain(`public_key=${gone}`);
  // It would not hear that it is no member, and goes on as if it were.
  await three().agent.kill();
  const before = await delivered();
  await until('the others to miss it', async () =>
    (await one().json('node', 'ls')).some(
      ({ Name, State }: { Name: string; State: string }) => Name === 'h3' && State === 'down',
    ),
  );
  await one().mustOverlayd('node', 'rm', 'h3');
  for (const host of [one(), two()]) {
    await until(`${host.name} to forget the key`, async () => !(await uapi(host)).includes(`public_key=${gone}`));
  }
  const wire = await Capture.start(lab().wire, []);
  const sent = (await wire.count()).tunnelled;
  await send(three(), from, to, '10.50.0.4');
  await until('its packets to pass', async () => (await wire.count()).tunnelled >= sent + COPIES);
  await three().must(['ping', '-n', '-q', '-c', '2', '-i', '0.05', one().address]);
  await untilReaches(two(), 'c2', '10.50.0.2');
  expect(await delivered()).toBe(before);
});
