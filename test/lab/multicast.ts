/** What applications do with groups and broadcasts, as small programs of Perl for containers, by their link `eth0`. */
import type { Host, HostProcess } from './host.ts';
import { until } from './until.ts';

/** A socket of either family that sends to all, and hears a group if one is given (`-`: none). */
const OPEN = `
use Socket qw(:all);
$| = 1;
sub opened {
  my ($group, $port) = @_;
  my $six = $group =~ /:/;
  open my $file, '<', '/sys/class/net/eth0/ifindex' or die $!;
  my $index = 0 + <$file>;
  socket my $socket, $six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0 or die $!;
  setsockopt $socket, SOL_SOCKET, $_, 1 or die $! for SO_REUSEADDR, SO_BROADCAST;
  bind $socket, $six ? pack_sockaddr_in6($port, IN6ADDR_ANY) : pack_sockaddr_in($port, INADDR_ANY) or die $!;
  # IPV6_MULTICAST_IF, IP_MULTICAST_IF with a struct ip_mreqn
  my $by = pack 'a4a4i', INADDR_ANY, INADDR_ANY, $index;
  $six ? setsockopt $socket, IPPROTO_IPV6, 17, pack 'i', $index : setsockopt $socket, IPPROTO_IP, 32, $by or die $!;
  return $socket if $group eq '-' || !is_group($group);
  return $socket if $six && setsockopt $socket, IPPROTO_IPV6, IPV6_JOIN_GROUP, pack_ipv6_mreq(at($group), $index);
  setsockopt $socket, IPPROTO_IP, IP_ADD_MEMBERSHIP, pack 'a4a4i', at($group), INADDR_ANY, $index or die $!;
  return $socket;
}
sub at { inet_pton($_[0] =~ /:/ ? AF_INET6 : AF_INET, $_[0]) or die $_[0] }
sub is_group { $_[0] =~ /^(22[4-9]|23\\d)\\.|^ff/ }
sub to {
  my ($address, $port) = @_;
  $address =~ /:/ ? pack_sockaddr_in6($port, at($address)) : pack_sockaddr_in($port, at($address));
}
`;

const HEAR = `${OPEN}
my $socket = opened(@ARGV);
print "ready\\n";
while (defined recv $socket, my $text, 9000, 0) { print "$text\\n" }
`;

const SAY = `${OPEN}
my ($address, $port, @texts) = @ARGV;
my $socket = opened($address =~ /:/ ? '::' : '-', 0);
send $socket, $_, 0, to($address, $port) or die $! for @texts;
`;

/** `ADDRESS PORT COUNT`: so many datagrams of 1,000 bytes in one piece, which is cut as late as possible (`UDP_SEGMENT`). */
export const SAY_AT_ONCE = `${OPEN}
my ($address, $port, $count) = @ARGV;
my $socket = opened('-', 0);
setsockopt $socket, IPPROTO_UDP, 103, pack 'i', 1000 or die $!;
send $socket, 'x' x (1000 * $count), 0, to($address, $port) or die $!;
`;

/** Multicast DNS (RFC 6762): \`answer GROUP NAME ADDRESS\`, and \`ask GROUP NAME\`, which prints the address that it is told. */
const MDNS = `${OPEN}
my ($what, $group, $name, $address) = @ARGV;
my $socket = opened($group, 5353);
my $labels = join('', map { pack 'C/a*', $_ } split /\\./, $name) . "\\0";
if ($what eq 'ask') {
  send $socket, pack('n6', 0, 0, 1, 0, 0, 0) . $labels . pack('n2', 1, 1), 0, to($group, 5353) or die $!;
} else { print "ready\\n" }
$SIG{ALRM} = sub { die "no answer\\n" };
alarm 60 if $what eq 'ask';
while (defined recv $socket, my $message, 9000, 0) {
  my (undef, $flags) = unpack 'n2', $message;
  next if substr($message, 12, length $labels) ne $labels || (($flags & 0x8000) != 0) != ($what eq 'ask');
  if ($what eq 'ask') { print inet_ntoa(substr $message, -4), "\\n"; last }
  my $record = $labels . pack('n2Nn/a*', 1, 0x8001, 120, inet_aton $address);
  send $socket, pack('n6', 0, 0x8400, 0, 1, 0, 0) . $record, 0, to($group, 5353) or die $!;
}
`;

/** What a container of a host hears. */
export class Listener {
  readonly #process: HostProcess;

  constructor(process: HostProcess) {
    this.#process = process;
  }

  get heard(): readonly string[] {
    return this.#process.output.split('\n').slice(1, -1);
  }

  async stop(): Promise<void> {
    await this.#process.kill('SIGKILL');
    await this.#process.exited;
  }
}

async function started(host: Host, container: string, program: string, args: readonly string[]): Promise<Listener> {
  const process = host.spawn(['ip', 'netns', 'exec', container, 'perl', '-e', program, ...args]);
  await until(`a listener in ${container}`, () => process.output.startsWith('ready'));
  return new Listener(process);
}

/** Listens at the port from then on, to a group as well if one is given. */
export function hear(host: Host, container: string, port: number, group = '-'): Promise<Listener> {
  return started(host, container, HEAR, [group, String(port)]);
}

/** Sends a datagram of each text. */
export async function say(host: Host, container: string, to: string, port: number, ...texts: readonly string[]) {
  await host.mustExec(container, ['perl', '-e', SAY, to, String(port), ...texts]);
}

export const MDNS_GROUP = { 4: '224.0.0.251', 6: 'ff02::fb' } as const;

/** Answers for that name by multicast DNS. */
export function answerMdns(
  host: Host,
  container: string,
  name: string,
  address: string,
  group: string = MDNS_GROUP[4],
) {
  return started(host, container, MDNS, ['answer', group, name, address]);
}

/** The address that somebody tells; undefined: nobody does. */
export async function askMdns(host: Host, container: string, name: string, group: string = MDNS_GROUP[4]) {
  const { code, stdout } = await host.exec(container, ['perl', '-e', MDNS, 'ask', group, name]);
  return code === 0 ? stdout.trim() : undefined;
}
