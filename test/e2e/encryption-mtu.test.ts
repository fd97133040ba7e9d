/** What an encrypted network carries on underlays of several MTUs and both families. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Capture } from '../lab/capture.ts';
import { formCluster, untilEncryptable } from '../lab/cluster.ts';
import type { Host } from '../lab/host.ts';
import { attach, untilReaches } from '../lab/network.ts';
import { until } from '../lab/until.ts';
import { useLab } from '../lab/use-lab.ts';

const MEGABYTE = 2 ** 20;
/** Perl: takes one connection and says how much came by it. */
const TAKE = `
  use IO::Socket::INET;
  my $listener = IO::Socket::INET->new(Listen => 1, LocalPort => 5001) or die $!;
  $| = 1;
  print "ready\\n";
  my ($socket, $sum) = ($listener->accept, 0);
  while (my $length = sysread $socket, my $part, 65536) { $sum += $length }
  print "$sum\\n";
`;
/** Perl: sends so many bytes. */
const GIVE = `
  use IO::Socket::INET;
  my $socket = IO::Socket::INET->new(PeerAddr => "$ARGV[0]:5001") or die $!;
  print $socket 'x' x $ARGV[1];
`;

/** Inside, by the underlay's: less WireGuard's bytes and VXLAN's 50, and room for padding. */
describe.each([
  { family: 4 as const, insides: { 1500: 1386, 1400: 1278, 1280: 1166 } },
  { family: 6 as const, insides: { 1500: 1370, 1400: 1262, 1280: 1150 } },
])('on an underlay of IPv$family', ({ family, insides }) => {
  const lab = useLab({ hosts: 2, family, prepare: ({ hosts }) => formCluster(hosts, ['--encrypt']) });
  const one = () => lab().host(1);
  const two = () => lab().host(2);
  let wire: Capture;

  const mtuOf = async (host: Host, container: string) =>
    Number(await host.mustExec(container, ['cat', '/sys/class/net/eth0/mtu']));

  /** Of the hosts' links, and of what they are plugged in. */
  async function setUnderlay(mtu: number): Promise<void> {
    for (const host of lab().hosts) {
      await host.must(['ip', 'link', 'set', 'eth0', 'mtu', String(mtu)]);
      const port = ['ip', 'link', 'set', `p-${host.name}`, 'mtu', String(mtu)];
      expect((await lab().wire.run(port)).code).toBe(0);
    }
  }

  beforeAll(async () => {
    await untilEncryptable(one());
    await one().mustOverlayd('network', 'create', '--subnet', '10.50.0.0/24', 'secret');
    await attach(one(), 'c1', 'secret', '--ip', '10.50.0.2');
    await attach(two(), 'c2', 'secret', '--ip', '10.50.0.3');
    await untilReaches(two(), 'c2', '10.50.0.2');
    wire = await Capture.start(lab().wire, []);
  });

  afterAll(() => wire?.end());

  test.each([1500, 1400, 1280] as const)('of %i, 1 MB by TCP and a packet of full size pass', async (mtu) => {
    await setUnderlay(mtu);
    const inner = insides[mtu];
    await until('both containers to follow', async () => {
      const found = [await mtuOf(one(), 'c1'), await mtuOf(two(), 'c2')];
      if (found.every((each) => each === inner)) return true;
      throw new Error(`they have ${found.join()}, not ${inner}`);
    });
    expect((await one().json('network', 'inspect', 'secret'))[0].Mtu).toBe(inner);
    const before = await wire.count();
    const ping = (bytes: number) =>
      two().exec('c2', ['ping', '-q', '-c', '1', '-W', '2', '-M', 'do', '-s', `${bytes - 28}`, '10.50.0.2']);
    await until('a packet of full size to pass', async () => (await ping(inner)).code === 0);
    expect((await ping(inner + 1)).code).not.toBe(0);
    const taker = one().spawn(['ip', 'netns', 'exec', 'c1', 'perl', '-e', TAKE]);
    await until('the listener', () => taker.output.startsWith('ready'));
    await two().mustExec('c2', ['perl', '-e', GIVE, '10.50.0.2', String(MEGABYTE)]);
    await taker.exited;
    expect(taker.output).toBe(`ready\n${MEGABYTE}\n`);
    const after = await wire.count();
    // Many of them in one frame of the lab's links, which cut as late as they can.
    expect(after.tunnelled).toBeGreaterThan(before.tunnelled);
    expect(after.lost).toBe(0);
    expect(after.vxlan).toEqual({});
    expect(after.fragments).toBe(before.fragments);
  });
});
