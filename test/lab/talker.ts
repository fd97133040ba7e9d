/** A container that says the same words all the time, whatever becomes of its network. */
import type { Host, HostProcess } from './host.ts';
import { until } from './until.ts';

/** Perl: `WORDS ADDRESS …`: every 10 ms a datagram and an echo request (RFC 792) to each. What cannot be sent is not. */
const TALK = `
  use Socket;
  $| = 1;
  my ($words, @addresses) = @ARGV;
  socket my $datagrams, AF_INET, SOCK_DGRAM, 0 or die $!;
  socket my $echoes, AF_INET, SOCK_RAW, 1 or die $!;
  my $sum = 0;
  $sum += $_ for unpack 'n*', pack 'CCnnna*', 8, 0, 0, 1, 1, $words;
  $sum = ($sum & 0xffff) + ($sum >> 16) while $sum >> 16;
  my $echo = pack 'CCnnna*', 8, 0, 0xffff - $sum, 1, 1, $words;
  print "ready\\n";
  while (1) {
    for (map { inet_aton $_ } @addresses) {
      send $datagrams, $words, 0, pack_sockaddr_in 9, $_;
      send $echoes, $echo, 0, pack_sockaddr_in 0, $_;
    }
    select undef, undef, undef, 0.01;
  }
`;

/** `words`: an even number of characters. */
export async function startTalking(
  host: Host,
  container: string,
  words: string,
  ...addresses: readonly string[]
): Promise<HostProcess> {
  const talker = host.spawn(['ip', 'netns', 'exec', container, 'perl', '-e', TALK, words, ...addresses]);
  await until(`${container} to talk`, () => talker.output === 'ready\n');
  return talker;
}
