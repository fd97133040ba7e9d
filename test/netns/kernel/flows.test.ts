/** What connection tracking knows of an address is forgotten, and of no other, in whichever way it is looked for. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { HOST, type Op } from '../../../src/core/host-state.ts';
import type { Host } from '../../lab/host.ts';
import { Lab } from '../../lab/lab.ts';
import { until } from '../../lab/until.ts';
import { openKernel } from './kernel-host.ts';

let lab: Lab;
let host: Host;

const TRACKING = `table ip tracked { chain c { type filter hook output priority 0; ct state established accept; }; }`;
/** Perl: from each address to each of the others one datagram, then so many from ports of one more address. */
const SEND = `
  my ($more, @addresses) = @ARGV;
  my $at = sub { pack 'SnC4x8', 2, $_[1], split /\\./, $_[0] };
  my $from = sub { socket my $socket, 2, 2, 17 or die $!; bind $socket, $at->($_[0], 0) or die $!; $socket };
  for my $source (@addresses) {
    my $socket = $from->($source);
    for (@addresses) { send $socket, 'x', 0, $at->($_, 9) or die $! unless $_ eq $source }
  }
  my $socket = $from->('127.9.9.9');
  for (1 .. $more) { send $socket, 'x', 0, $at->('127.9.9.8', 1000 + $_) or die $! }
`;

beforeAll(async () => {
  lab = await Lab.open({ hosts: 1 });
  host = lab.host(1);
  await host.must(['nft', '-f', '-'], { input: TRACKING });
});
afterAll(() => lab?.close());

const known = async () => (await host.must(['cat', '/proc/net/nf_conntrack'])).split('\n').filter(Boolean);
const number = async (name: string) => Number(await host.must(['cat', `/proc/sys/net/netfilter/nf_conntrack_${name}`]));

const send = (more: number, ...addresses: readonly string[]) =>
  host.must(['perl', '-e', SEND, String(more), ...addresses]);

async function forget(owner: 'comes' | 'went', ...addresses: readonly string[]): Promise<void> {
  const op: Op = { kind: 'forget-flows', at: HOST, addresses, owner };
  const planned = { op, reason: 'update', network: undefined, endpointId: undefined } as const;
  const { kernel } = openKernel(host);
  expect((await kernel.apply({ stages: [{ essential: false, ops: [planned] }], gone: [] })).failures).toEqual([]);
}

it.each([
  ['of few that are known', 0],
  ['of many that are known', 1],
])('%s', async (_, share) => {
  const addresses = ['127.1.0.1', '127.1.0.2', '127.1.0.3', '127.1.0.4'];
  const more = Math.ceil((share * (await number('buckets'))) / 50) + 100;
  await send(more, ...addresses);
  expect((await known()).filter((flow) => flow.includes('127.1.0.1 '))).toHaveLength(6);
  await forget('comes', '127.1.0.1');
  const left = await known();
  expect(left.filter((flow) => flow.includes('127.1.0.1 '))).toEqual([]);
  expect(left).toHaveLength(6 + more);
  await forget('comes', ...addresses);
  expect((await known()).filter((flow) => flow.includes('127.1.0.'))).toEqual([]);
  expect(await known()).toHaveLength(more);
  await forget('comes', '127.9.9.9');
  expect(await known()).toEqual([]);
});

it('soon after the owner went, and at the latest before the next one comes', async () => {
  await forget('comes', '127.1.0.1', '127.1.0.2');
  await send(0, '127.1.0.1', '127.1.0.2');
  await forget('went', '127.1.0.1');
  await until('the connections to be forgotten', async () => (await known()).length === 0);
  await send(0, '127.1.0.1', '127.1.0.2');
  await Promise.all([forget('went', '127.1.0.2'), forget('comes', '127.1.0.2')]);
  expect(await known()).toEqual([]);
});

it('is forgotten of an address of IPv6, and of no other', async () => {
  const send6 = `
    my @addresses = @ARGV;
    my $at = sub { pack 'SnNa16L', 10, $_[1], 0, pack('H*', $_[0]), 0 };
    for my $source (@addresses) {
      socket my $socket, 10, 2, 17 or die $!;
      bind $socket, $at->($source, 0) or die $!;
      for (@addresses) { send $socket, 'x', 0, $at->($_, 9) or die $! unless $_ eq $source }
    }
  `;
  const digits = (last: number) => `fd00${'0'.repeat(27)}${last}`;
  const table = 'table ip6 tracked { chain c { type filter hook output priority 0; ct state established accept; }; }';
  await host.must(['nft', '-f', '-'], { input: table });
  for (const last of [1, 2, 3]) await host.must(['ip', 'address', 'add', `fd00::${last}/128`, 'dev', 'lo']);
  // From now on they are somebody's.
  await forget('comes', 'fd00::1', 'fd00::2');
  await host.must(['perl', '-e', send6, digits(1), digits(2), digits(3)]);
  const of = async (last: number) =>
    (await known()).filter((flow) => flow.includes(`src=fd00:0000:0000:0000:0000:0000:0000:000${last} `)).length;
  expect(await Promise.all([1, 2, 3].map(of))).toEqual([4, 4, 4]);
  await forget('comes', 'fd00::1');
  expect(await Promise.all([1, 2, 3].map(of))).toEqual([0, 2, 2]);
  await forget('went', 'fd00::2');
  await until('the connections to be forgotten', async () => (await of(2)) === 0);
  expect(await of(3)).toBe(0);
});

it('is listed ahead, so that nothing is looked for when the first container comes', async () => {
  const { thread, kernel } = openKernel(host);
  // Another thread: of what the one before listed nothing is known.
  await thread.close();
  await kernel.observe({ host: false, networks: [], containers: [], ports: [] });
  await thread.ask('listFlows', undefined);
  await send(0, '127.3.0.1', '127.3.0.2');
  await forget('comes', '127.3.0.1');
  expect(await known()).toHaveLength(2);
  await forget('comes', '127.3.0.1');
  expect(await known()).toEqual([]);
});

it('is not even looked for where no container had the address', async () => {
  await forget('comes', '127.1.0.1');
  await send(0, '127.2.0.1', '127.2.0.2');
  await forget('comes', '127.2.0.1');
  expect(await known()).toHaveLength(2);
  await forget('comes', '127.2.0.1');
  expect(await known()).toEqual([]);
});
