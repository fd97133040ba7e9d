/**
 * Connection tracking of the host remembers who an answer belongs to by address alone, and every answer keeps that
 * alive: the next owner of an address would get what is meant for the one before. The entries of an address are dumped
 * (the kernel picks those that begin or end there) and deleted one by one; kernels before 6.13 know no other way.
 */
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { Run } from './exec.ts';

/** Messages of ctnetlink: IPCTNL_MSG_CT_GET with CTA_FILTER, then IPCTNL_MSG_CT_DELETE with tuple, id and zone of each. */
const FORGET = `
use strict;
socket my $kernel, 16, 3, 12 or die "socket: $!\\n";
sub attribute { my ($type, $data) = @_; pack 'SSa*x![4]', 4 + length $data, $type, $data }
sub ask {
  my ($type, $flags, $attributes) = @_;
  my $head = pack 'LSSLL CCn', 20 + length $attributes, $type, $flags, 1, 0, 2, 0, 0;
  send $kernel, $head . $attributes, 0 or die "send: $!\\n";
  my @flows;
  while (1) {
    defined recv $kernel, my $answer, 65536, 0 or die "recv: $!\\n";
    while (length $answer >= 16) {
      my ($size, $kind) = unpack 'LS', $answer;
      my $message = substr $answer, 0, $size;
      substr($answer, 0, ($size + 3) & ~3) = '';
      return @flows if $kind == 3;
      if ($kind == 2) {
        $! = -unpack 'x16 l', $message;
        die "conntrack: $!\\n" if $! && $! != 2;
        return @flows;
      }
      my ($flow, $rest) = ('', substr $message, 20);
      while (length $rest >= 4) {
        my ($length, $what) = unpack 'SS', $rest;
        my $padded = ($length + 3) & ~3;
        $what &= 0x3fff;
        $flow .= substr $rest, 0, $padded if $what == 1 || $what == 12 || $what == 18;
        substr($rest, 0, $padded) = '';
      }
      push @flows, $flow;
    }
  }
}
for my $address (@ARGV) {
  my $source = attribute(0x8001, attribute(1, pack 'C4', split /\\./, $address));
  for my $side (1, 2) {
    my $filter = attribute(0x8019, attribute(1, pack 'L', $side == 1) . attribute(2, pack 'L', $side == 2));
    ask(0x0102, 5, $_) for ask(0x0101, 0x0301, attribute(0x8000 | $side, $source) . $filter);
  }
}
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
