import type { Host } from '../lab/host.ts';
import { imageArchive } from '../lab/image.ts';
import { expectSuccess, run } from '../lab/process.ts';

/** busybox, and the tools that measure with their libraries. */
export const BENCH_IMAGE = 'bench-local';

const TOOLS = ['/usr/bin/iperf3', '/usr/bin/sockperf', '/usr/bin/dnsperf'];

export async function benchImageArchive(directory: string): Promise<string> {
  const archive = await imageArchive(directory);
  const libraries = expectSuccess(await run(['ldd', ...TOOLS])).matchAll(/(\/\S+) \(0x/g);
  const files = new Set([...TOOLS, ...[...libraries].map((match) => match[1]!)]);
  // Links are followed: a library goes by the name that the tools ask for.
  const append = ['tar', '-C', '/', '-rhf', archive, ...[...files].map((path) => path.slice(1))];
  expectSuccess(await run(append));
  return archive;
}

export async function importBenchImage(host: Host, archive: string): Promise<void> {
  await host.engine.mustDocker('import', '--change', 'CMD ["sleep", "infinity"]', archive, BENCH_IMAGE);
}
