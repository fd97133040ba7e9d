/** The release of this command beside that of the agent that it asks. */
import { VERSION } from '../version.ts';
import type { Session } from './session.ts';

/** On standard error, when they differ: packages were exchanged, and the agent goes on as it was started. */
export function noteRelease(session: Session, agent: string | undefined): void {
  if (!agent || agent === VERSION) return;
  session.note(
    `note: this command is overlayd ${VERSION}, the agent of this host runs ${agent}; restart it: systemctl restart overlayd`,
  );
}
