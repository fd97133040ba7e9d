/** Whether the agent ends with all that it serves: the host is being shut down, as its service manager says, or somebody takes overlayd away. */
import { access, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { LAST_STOP_FILE } from '../../core/config/last-stop.ts';
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

/** Whether nobody starts it again, as who stops it says. Never rejects. */
export function isLastStop(runDir: string): Promise<boolean> {
  return unlink(join(runDir, LAST_STOP_FILE)).then(
    () => true,
    () => false,
  );
}
