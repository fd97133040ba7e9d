/**
 * Connection tracking of the host remembers who an answer belongs to by address alone, and every answer keeps that
 * alive: the next owner of an address would get what is meant for the one before. Entries that begin or end at one of the
 * addresses are listed and deleted one by one; kernels before 6.13 know no other way.
 *
 * The kernel goes through its whole table for each listing, which is mostly empty: some 10 ms. It can pick the entries of
 * one end of one address, so that takes two listings for each; or tell all of them once, of which each costs as much
 * as some fifty places of the table. What is cheaper is done: for many addresses one listing, as a rule.
 */
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { Run } from './exec.ts';

/** Messages of ctnetlink: IPCTNL_MSG_CT_GET with CTA_FILTER, then IPCTNL_MSG_CT_DELETE with tuple, id and zone of each. */
const FORGET = `
use strict;
socket my $kernel, 16, 3, 12 or die "socket: $!\\n";
my %wanted = map { (pack('C4', split /\\./), 1) } @ARGV;
my $any = join '|', map { quotemeta } keys %wanted;
sub attribute { my ($type, $data) = @_; pack 'SSa*x![4]', 4 + length $data, $type, $data }
sub number { my ($name) = @_; open my $file, '<', "/proc/sys/net/netfilter/nf_conntrack_$name" or return 0; 0 + <$file> }
sub ask {
  my ($type, $flags, $attributes) = @_;
  my $head = pack 'LSSLL CCn', 20 + length $attributes, $type, $flags, 1, 0, 2, 0, 0;
  send $kernel, $head . $attributes, 0 or die "send: $!\\n";
  my @flows;
  while (1) {
    defined recv $kernel, my $answer, 65536, 0 or die "recv: $!\\n";
    my $next = 0;
    my $some = $answer =~ /$any/s;
    while (length $answer >= $next + 16) {
      my $at = $next;
      my ($size, $kind) = unpack 'LS', substr $answer, $at, 6;
      $next += ($size + 3) & ~3;
      return @flows if $kind == 3;
      if ($kind == 2) {
        $! = -unpack 'l', substr $answer, $at + 16, 4;
        die "conntrack: $!\\n" if $! && $! != 2;
        return @flows;
      }
      next unless $some;
      my ($flow, $meant, $rest) = ('', 0, substr $answer, $at + 20, $size - 20);
      while (length $rest >= 4) {
        my ($length, $what) = unpack 'SS', $rest;
        my $padded = ($length + 3) & ~3;
        $what &= 0x3fff;
        $flow .= substr $rest, 0, $padded if $what == 1 || $what == 12 || $what == 18;
        # Behind the heads of tuple, addresses and source.
        $meant ||= $wanted{substr $rest, 12, 4} if $what == 1 || $what == 2;
        substr($rest, 0, $padded) = '';
      }
      push @flows, $flow if $meant;
    }
  }
}
sub flows {
  return ask(0x0101, 0x0301, '') if number('count') * 50 < number('buckets') * (2 * @ARGV - 1);
  return map {
    my $source = attribute(0x8001, attribute(1, $_));
    map {
      my $filter = attribute(0x8019, attribute(1, pack 'L', $_ == 1) . attribute(2, pack 'L', $_ == 2));
      ask(0x0101, 0x0301, attribute(0x8000 | $_, $source) . $filter);
    } 1, 2;
  } keys %wanted;
}
ask(0x0102, 5, $_) for flows();
`;

/** Throws `data-path-failed`. On a host without Perl nothing is forgotten. */
export async function forgetFlows(
  run: Run,
  addresses: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    const { code, stderr } = await run(['perl', '-e', FORGET, ...addresses], { quiet: true, signal });
    // A kernel without connection tracking has nothing to forget.
    if (code === 0 || /Invalid argument|not supported/.test(stderr)) return;
    const message = `forgetting the connections of ${addresses.join(', ')} failed: ${stderr.trim()}`;
    throw new OverlaydError('data-path-failed', message, { retryable: true });
  } catch (error) {
    if (!isOverlaydError(error) || error.code !== 'tool-missing') throw error;
  }
}
