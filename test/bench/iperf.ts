/** In which `/proc/stat` counts. */
const TICKS_PER_SECOND = 100;

/** Processor seconds of the whole machine between two first lines of `/proc/stat` (proc(5)): no idle, no waiting. */
export function busySeconds(before: string, after: string): number {
  const busy = (line: string) => {
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = line.trim().split(/\s+/).slice(1).map(Number);
    return user + nice + system + irq + softirq;
  };
  return (busy(after) - busy(before)) / TICKS_PER_SECOND;
}

/** For a shell, whose `$PEER` is the server's address; `readThroughput` reads what it prints. */
export function iperf(seconds: number, flows: number): string {
  // Read inside, so that what it takes to get there does not count.
  const stat = 'head -n 1 /proc/stat';
  return `${stat}; iperf3 -c $PEER -t ${seconds} -P ${flows} -J --connect-timeout 3000; ${stat}`;
}

export interface Throughput {
  /** Gbit/s that arrived. */
  readonly rate: number;
  /** Processor seconds of the whole machine for each GB of it. */
  readonly cpu: number;
}

export function readThroughput(output: string): Throughput {
  const lines = output.trim().split('\n');
  const { end } = JSON.parse(lines.slice(1, -1).join('\n'));
  const { bits_per_second: rate, bytes } = end.sum_received;
  return { rate: rate / 1e9, cpu: busySeconds(lines[0]!, lines.at(-1)!) / (bytes / 1e9) };
}
