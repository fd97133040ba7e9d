import type { ControlClient } from './client.ts';
import { forEach } from './each.ts';
import { type Format, printInspected } from './output.ts';
import type { Session } from './session.ts';

/** What every `inspect` does: asks for each of the things named and prints those that were found as one array. */
export async function inspectEach<T>(
  session: Session,
  refs: readonly string[],
  format: Format | undefined,
  get: (client: ControlClient, ref: string) => Promise<T>,
  toJson: (found: T) => object,
): Promise<void> {
  await session.ask('waiting for the agent', (client) =>
    forEach(
      session,
      refs,
      (ref) => get(client, ref),
      (found) => printInspected(session, format, found.map(toJson)),
    ),
  );
}
