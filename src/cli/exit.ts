/** How commands end: exit codes, and errors in one line that names the next step. */
import { CommanderError, InvalidArgumentError } from 'commander';
import { asOverlaydError, isOverlaydError } from '../core/errors.ts';
import { printable } from './table.ts';

/** Also in the root command's help. */
export const EXIT = { ok: 0, failure: 1, usage: 2, noAgent: 69 } as const;

/** The command line is wrong; nothing was asked of the agent. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Some of several things failed and were reported; the rest is done. */
export class PartialFailure extends Error {
  override readonly name = 'PartialFailure';
}

/** Runs a check of the core on something typed: what it refuses is an error of usage. */
export function checkLocally<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (isOverlaydError(error)) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

/** It may quote what another host said. */
export function errorLine(error: unknown): string {
  const isUsage = error instanceof UsageError || error instanceof InvalidArgumentError;
  const message = isUsage ? error.message : asOverlaydError(error).message;
  return `overlayd: ${message.split('\n').map(printable).join('\n')}\n`;
}

/** Writes what went wrong, unless that has been done, and says how to exit. */
export function exitCodeOf(error: unknown, writeError: (text: string) => void): number {
  if (error instanceof PartialFailure) return EXIT.failure;
  // Commander has written its message already; help and version end with 0.
  const isWritten = error instanceof CommanderError && !(error instanceof InvalidArgumentError);
  if (isWritten) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  writeError(errorLine(error));
  if (error instanceof UsageError || error instanceof InvalidArgumentError) return EXIT.usage;
  return isOverlaydError(error, 'agent-not-running') ? EXIT.noAgent : EXIT.failure;
}
