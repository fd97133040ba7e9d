/** The host's resolver where it is systemd-resolved, by its tool resolvectl(1): name servers and domains of single links. */
import { access } from 'node:fs/promises';
import { OverlaydError } from '../../core/errors.ts';
import type { HostResolver } from '../../ports/host-resolver.ts';
import type { Run } from '../exec.ts';

/** Its socket, which is there as long as it runs. */
const SOCKET = '/run/systemd/resolve/io.systemd.Resolve';

export function createHostResolver({
  run,
  socket = SOCKET,
}: {
  readonly run: Run;
  readonly socket?: string;
}): HostResolver {
  const isThere = () =>
    access(socket).then(
      () => true,
      () => false,
    );

  /** e.g. `Link 5 (ovl4096): 10.0.0.1 10.1.0.1`. */
  async function told(what: 'dns' | 'domain' | 'default-route', link: string): Promise<string> {
    const { stdout } = await must(['resolvectl', what, link]);
    return stdout.slice(stdout.indexOf('): ') + 3).trim();
  }

  async function must(argv: readonly string[]) {
    const end = await run(argv);
    if (end.code === 0) return end;
    const why = end.stderr.trim() || `exit code ${end.code}`;
    throw new OverlaydError('data-path-failed', `${argv.join(' ')}: ${why}`, { retryable: true });
  }

  return {
    async ask(link, servers, domain, further) {
      if (!(await isThere())) return false;
      // What is as it should be is not set: each time, it forgets all answers.
      const wanted = [
        ['dns', servers],
        // In those with a tilde it looks for no name without a dot.
        ['domain', [domain, ...further.map((each) => `~${each}`)]],
        ['default-route', ['no']],
      ] as const;
      for (const [what, values] of wanted)
        if (!isSame(await told(what, link), values)) await must(['resolvectl', what, link, ...values]);
      return true;
    },
    async forget(link) {
      if (await isThere()) await run(['resolvectl', 'revert', link]);
    },
  };
}

/** In whatever order. */
function isSame(text: string, values: readonly string[]): boolean {
  return text.split(' ').sort().join(' ') === [...values].sort().join(' ');
}
