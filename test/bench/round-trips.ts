/** Requests and responses over TCP of either family, by two small programs of Perl: sockperf knows IPv4 alone. */

/** Bytes there, and back; as sockperf's. */
const SIZE = 14;
const PORT = 11112;
const WARM_UP = 200;

const COMMON = `
use Socket qw(:all);
sub opened {
  my ($address) = @_;
  my $family = $address =~ /:/ ? AF_INET6 : AF_INET;
  my $ip = inet_pton($family, $address) or die "no address: $address";
  socket my $socket, $family, SOCK_STREAM, 0 or die "socket: $!";
  return ($socket, $family == AF_INET6 ? pack_sockaddr_in6(${PORT}, $ip) : pack_sockaddr_in(${PORT}, $ip));
}
sub at_once { setsockopt $_[0], IPPROTO_TCP, TCP_NODELAY, 1 or die "setsockopt: $!" }
sub heard {
  my ($socket) = @_;
  my $text = '';
  while (length $text < ${SIZE}) { sysread $socket, $text, ${SIZE} - length $text, length $text or return }
  return $text;
}
`;

const ANSWER = `${COMMON}
my ($socket, $here) = opened(@ARGV);
setsockopt $socket, SOL_SOCKET, SO_REUSEADDR, 1 or die "setsockopt: $!";
bind $socket, $here or die "bind: $!";
listen $socket, 8 or die "listen: $!";
while (accept my $client, $socket) {
  at_once($client);
  while (defined(my $text = heard($client))) { syswrite $client, $text }
}
`;

const ASK = `${COMMON}
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);
my ($peer, $seconds) = @ARGV;
my ($socket, $there) = opened($peer);
connect $socket, $there or die "connect: $!";
at_once($socket);
sub ask {
  syswrite $socket, 'x' x ${SIZE};
  heard($socket) or die "no response";
  return clock_gettime(CLOCK_MONOTONIC);
}
ask() for 1 .. ${WARM_UP};
my @times = (ask());
push @times, ask() while $times[-1] < $times[0] + $seconds;
printf "%.1f\\n", ($times[$_] - $times[$_ - 1]) * 1e6 for 1 .. $#times;
`;

/** Answers at the address until it is killed. */
export function answering(address: string): readonly string[] {
  return ['perl', '-e', ANSWER, address];
}

/** Asks one question after the other, for so long, over one connection; `readRoundTrips` reads what it prints. */
export function asking(address: string, seconds: number): readonly string[] {
  return ['perl', '-e', ASK, address, String(seconds)];
}

/** What each round trip took, in microseconds. */
export function readRoundTrips(output: string): readonly number[] {
  return output.trim().split('\n').map(Number);
}
