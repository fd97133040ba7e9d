/**
 * The tables inside the networks' namespaces, whose changes reach nobody outside as events. The kernel counts the changes
 * of all tables of a namespace (its generation), and one process asks every namespace for that number: 200 of them in a
 * few milliseconds. A table is listed, which costs a process each, when the number is not the one it was listed at.
 * What is kept answers for nothing but that number: it is no record of what should be, or of what was seen last.
 */
import type { Filter } from '../../core/host-state.ts';
import type { Run } from './exec.ts';
import { parseFilter } from './nftables.ts';

/** Where the number cannot be asked for, so many are listed per call, all in their turn. */
const PER_TURN = 8;
/** Fewer than processes may run. */
const AT_ONCE = 4;

/** Number of the system call `setns`. */
const SETNS: Readonly<Record<string, number>> = {
  x64: 308,
  arm64: 268,
  riscv64: 268,
  loong64: 268,
  ppc64: 350,
  s390x: 339,
};

/**
 * Enters the namespaces one after another and asks nftables there (NFT_MSG_GETGEN). No tool lists more than one
 * namespace per process; every Debian has Perl.
 */
const ASK = `
use strict;
my ($setns, @names) = @ARGV;
for my $name (@names) {
  open my $space, '<', "/run/netns/$name" or next;
  syscall($setns, fileno $space, 0x40000000) == 0 or next;
  socket my $kernel, 16, 3, 12 or die "socket: $!\\n";
  send $kernel, pack('LSSLL CCn', 20, 0x0a10, 1, 1, 0, 0, 0, 0), 0 or die "send: $!\\n";
  defined recv $kernel, my $answer, 4096, 0 or die "recv: $!\\n";
  next if unpack('x4 S', $answer) != 0x0a0f;
  printf "%s %s:%s\\n", $name, (stat $space)[1], unpack 'x24 N', $answer;
}
`;

interface Listed {
  readonly generation: string;
  readonly filter: Filter | undefined;
}

export class NetworkFilters {
  readonly #run: Run;
  readonly #list: (namespace: string, signal: AbortSignal | undefined) => Promise<string>;
  readonly #listed = new Map<string, Listed>();
  #turn = 0;

  /** `list`: the table as nft tells it; empty when there is none. */
  constructor(run: Run, list: (namespace: string, signal: AbortSignal | undefined) => Promise<string>) {
    this.#run = run;
    this.#list = list;
  }

  /** By name; undefined without one. Where generations cannot be asked for, of some of them alone. */
  async look(
    namespaces: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<ReadonlyMap<string, Filter | undefined>> {
    const generations = await this.#generations(namespaces, signal);
    for (const name of this.#listed.keys()) if (!generations?.has(name)) this.#listed.delete(name);
    // The number is older than the listing: what changes in between is listed again the next time.
    const asked = generations ? namespaces : this.#someOf(namespaces);
    const filters = new Map<string, Filter | undefined>();
    const lookAt = async (name: string) => {
      const generation = generations?.get(name);
      const listed = this.#listed.get(name);
      if (generation !== undefined && listed?.generation === generation) return listed.filter;
      // One that cannot be read is not as it should be: whoever looks at it will be told why.
      const text = await this.#list(name, signal).catch(() => '');
      signal?.throwIfAborted();
      const filter = parseFilter(text);
      if (generation !== undefined) this.#listed.set(name, { generation, filter });
      return filter;
    };
    // A few at a time: what somebody waits for does not queue behind two hundred of these.
    for (let first = 0; first < asked.length; first += AT_ONCE) {
      const few = asked.slice(first, first + AT_ONCE);
      const found = await Promise.all(few.map(lookAt));
      for (const [index, name] of few.entries()) filters.set(name, found[index]);
    }
    return filters;
  }

  /** Of a namespace that goes or comes: a later one may have the same number of changes, and other contents. */
  forget(namespace: string): void {
    this.#listed.delete(namespace);
  }

  /** Undefined when they cannot be asked for. A namespace that is not there, or has no nftables, has none. */
  async #generations(
    namespaces: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<ReadonlyMap<string, string> | undefined> {
    const setns = SETNS[process.arch];
    if (setns === undefined || namespaces.length === 0) return undefined;
    const argv = ['perl', '-e', ASK, String(setns), ...namespaces];
    const result = await this.#run(argv, { signal }).catch(() => undefined);
    signal?.throwIfAborted();
    if (result?.code !== 0) return undefined;
    const lines = result.stdout.split('\n').filter((line) => line !== '');
    return new Map(lines.map((line) => line.split(' ') as [string, string]));
  }

  #someOf(all: readonly string[]): readonly string[] {
    if (all.length <= PER_TURN) return all;
    return Array.from({ length: PER_TURN }, () => all[this.#turn++ % all.length]!);
  }
}
