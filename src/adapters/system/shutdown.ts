/** Whether the host is being shut down, as its service manager says: then the agent ends with all that it serves. */
import { access } from 'node:fs/promises';
import type { Run } from '../exec.ts';

/** Where systemd is process 1 (sd_booted(3)). */
const BOOTED = '/run/systemd/system';
/** Process 1 answers at once, or has other things to do; the end of the agent does not wait for it. */
const TIMEOUT_MS = 500;

/** False where nobody says so. Never rejects. */
export async function isHostStopping(run: Run, booted = BOOTED): Promise<boolean> {
  try {
    await access(booted);
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const { stdout } = await run(['systemctl', 'is-system-running'], { signal });
    return stdout.trim() === 'stopping';
  } catch {
    return false;
  }
}
