/** What passes a wire: every frame is looked at, for words that somebody says and for tunnels. */
import type { Host } from './host.ts';
import { type InsideProcess, startInside } from './inside-process.ts';

/**
 * Perl: counts the frames that come in by any link of its namespace (packet(7)). An order on its standard input is answered with what was
 * counted so far, all that has arrived by then included. Frames that the kernel had no room for are counted as well.
 */
const CAPTURE = `
  use Socket;
  $| = 1;
  my @words = @ARGV;
  my %count = (frames => 0, lost => 0, fragments => 0, tunnelled => 0);
  my (@found, %vxlan);
  socket my $wire, 17, 3, unpack('S', pack 'n', 3) or die $!;
  setsockopt $wire, SOL_SOCKET, 33, pack 'i', 1 << 26 or die $!;
  sub look {
    my $frame = shift;
    $count{frames}++;
    for (0 .. $#words) { $found[$_]++ if index($frame, $words[$_]) >= 0 }
    my $type = unpack 'x12 n', $frame;
    my ($protocol, $at);
    if ($type == 0x0800) {
      ($protocol, $at) = (unpack('x23 C', $frame), 14 + 4 * (15 & unpack 'x14 C', $frame));
      $count{fragments}++ if 0x3fff & unpack 'x20 n', $frame;
    } elsif ($type == 0x86dd) {
      ($protocol, $at) = (unpack('x20 C', $frame), 54);
      $count{fragments}++ if $protocol == 44;
    } else { return }
    return if $protocol != 17 || length $frame < $at + 16;
    my $port = unpack "x$at x2 n", $frame;
    $vxlan{unpack("x$at x12 N", $frame) >> 8}++ if $port == 4789;
    $count{tunnelled}++ if $port == 51840 || $port == 51841;
  }
  sub drain {
    while (defined(my $from = recv $wire, my $frame, 70000, MSG_DONTWAIT)) { look($frame) if 4 != unpack 'x10 C', $from }
  }
  print "ready\\n";
  while (1) {
    my $ready = '';
    vec($ready, fileno $_, 1) = 1 for $wire, *STDIN;
    select $ready, undef, undef, undef;
    drain();
    next if !vec $ready, fileno STDIN, 1;
    last if !sysread STDIN, my $order, 1;
    next if $order ne "\\n";
    drain();
    $count{lost} += (unpack 'II', getsockopt $wire, 263, 6)[1];
    my $numbers = join ',', map { "\\"$_\\":$count{$_}" } keys %count;
    my $ids = join ',', map { "\\"$_\\":$vxlan{$_}" } keys %vxlan;
    print "{$numbers,\\"words\\":[", join(',', map { $found[$_] // 0 } 0 .. $#words), "],\\"vxlan\\":{$ids}}\\n";
  }
`;

export interface Captured {
  readonly frames: number;
  /** Frames that were not looked at. */
  readonly lost: number;
  /** Of IP packets. */
  readonly fragments: number;
  /** Frames to WireGuard's ports. */
  readonly tunnelled: number;
  /** Frames that have them, in the order in which they were given. */
  readonly words: readonly number[];
  /** Frames to VXLAN's port, by VNI. */
  readonly vxlan: Readonly<Record<string, number>>;
}

export class Capture {
  readonly #process: InsideProcess;

  private constructor(process: InsideProcess) {
    this.#process = process;
  }

  /** Of all links there; `container`: of that one. */
  static async start(place: Pick<Host, 'enter'>, words: readonly string[], container?: string): Promise<Capture> {
    const inside = container === undefined ? [] : ['ip', 'netns', 'exec', container];
    return new Capture(await startInside(place, [...inside, 'perl', '-e', CAPTURE, ...words]));
  }

  async count(): Promise<Captured> {
    this.#process.order('');
    return JSON.parse(await this.#process.line());
  }

  end(): void {
    this.#process.end();
  }
}
