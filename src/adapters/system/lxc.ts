/** Containers of LXC as root, by lxc-info(1). While a hook of a container runs it does not answer for that one. */
import { OverlaydError } from '../../core/errors.ts';
import type { Run } from '../exec.ts';

/** The first process of a container, in whose namespaces it is. Throws `namespace-not-found`, `tool-missing`. */
export async function lxcInitOf(run: Run, name: string): Promise<number> {
  const { code, stdout, stderr } = await run(['lxc-info', '--name', name, '--no-humanize', '--pid']);
  const pid = /^([1-9]\d*)$/m.exec(stdout)?.[1];
  if (code === 0 && pid !== undefined) return Number(pid);
  const hint = /doesn't exist/.test(stdout + stderr)
    ? 'LXC has no such container; `lxc-ls` names those there are'
    : `it does not run; \`lxc-start ${name}\` starts it`;
  throw new OverlaydError('namespace-not-found', `container lxc:${name}: ${hint}`);
}
