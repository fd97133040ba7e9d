/** The program that container tools run: where it is put, and taken away from. */
import { OverlaydError } from '../core/errors.ts';
import type { Session } from './session.ts';

/** In the program's head, by which it is told from others of that name. */
const MARK = 'the overlayd agent';
const SOCKET = '/run/overlayd/plugins.sock';

/** Its text, calling the agent that this command calls. */
export async function toolProgram(session: Session): Promise<string> {
  const runDir = await session.surroundings.runDir(session.globalFlags());
  return (await session.surroundings.toolProgram()).replace(SOCKET, `${runDir}/plugins.sock`);
}

/** Throws `conflict` where something else has the name. */
export async function installToolProgram(session: Session, path: string, option = '--bin-dir'): Promise<void> {
  const { files } = session.surroundings;
  await requireOwn(session, path, `move it away, or choose another ${option}`);
  await files.install(path, await toolProgram(session), 0o755);
}

/** Whether it was there. */
export async function removeToolProgram(session: Session, path: string): Promise<boolean> {
  await requireOwn(session, path, 'it is left alone');
  return session.surroundings.files.remove(path);
}

export function isToolProgram(text: string | undefined): boolean {
  return text?.includes(MARK) === true;
}

async function requireOwn({ surroundings }: Session, path: string, advice: string): Promise<void> {
  const present = await surroundings.files.read(path);
  if (present === undefined || isToolProgram(present)) return;
  throw new OverlaydError('conflict', `${path} is another program; ${advice}`);
}
