/** Machines as systemd-machined knows them (org.freedesktop.machine1(5)): containers of systemd-nspawn, and whoever registers. */
import { OverlaydError } from '../../core/errors.ts';
import type { Run } from '../exec.ts';

const SERVICE = 'org.freedesktop.machine1';
const MANAGER = ['/org/freedesktop/machine1', 'org.freedesktop.machine1.Manager'];
const MACHINE = 'org.freedesktop.machine1.Machine';

/** The process that a machine began with, in whose namespaces it is. Throws `namespace-not-found`, `engine-unavailable`, `tool-missing`. */
export async function leaderOf(run: Run, name: string): Promise<number> {
  const [path] = await ask(run, name, ['call', SERVICE, ...MANAGER, 'GetMachine', 's', name]);
  const [leader] = await ask(run, name, ['get-property', SERVICE, String(path), MACHINE, 'Leader']);
  if (typeof leader === 'number' && leader > 0) return leader;
  throw gone(name);
}

async function ask(run: Run, name: string, call: readonly string[]): Promise<readonly unknown[]> {
  const { code, stdout, stderr } = await run(['busctl', '--json=short', ...call]);
  if (code === 0) {
    const { data } = JSON.parse(stdout) as { readonly data: unknown };
    return Array.isArray(data) ? data : [data];
  }
  if (/No machine '.*' known|Unknown object/.test(stderr)) throw gone(name);
  throw new OverlaydError(
    'engine-unavailable',
    `container machine:${name}: systemd-machined does not answer (${stderr.trim() || `busctl ended with ${code}`}); install systemd-container, or give the process: pid:NUMBER`,
    { retryable: true },
  );
}

function gone(name: string): OverlaydError {
  return new OverlaydError(
    'namespace-not-found',
    `container machine:${name}: systemd-machined knows no such machine; \`machinectl list\` names those there are`,
  );
}
