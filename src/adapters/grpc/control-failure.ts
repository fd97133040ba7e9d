/** What a command is told when the agent cannot be asked, or does not answer to the end. */
import { ERROR_CODES, type ErrorCode, OverlaydError } from '../../core/errors.ts';

/** What takes longer than any step of the agent may. */
export const ANSWER_MS = 600_000;

export interface Patience {
  /** An agent that runs takes a connection in no time. */
  readonly connectMs: number;
  /** It answers pings whatever it is working on: one each so often, and within that time. */
  readonly pingMs: number;
}

export const PATIENCE: Patience = { connectMs: 20_000, pingMs: 10_000 };

/** What the other end said; a code of a newer version is `internal` here. */
export function codedError(code: string, message: string, retryable: boolean): OverlaydError {
  const known: ErrorCode | undefined = ERROR_CODES.find((candidate) => candidate === code);
  return new OverlaydError(known ?? 'internal', message, { retryable });
}

export function deaf(socketPath: string, cause?: Error): OverlaydError {
  return new OverlaydError(
    'agent-not-running',
    `the agent has ${socketPath} open but does not answer; see \`systemctl status overlayd\` and its log`,
    { cause, retryable: true },
  );
}

export function tookTooLong(cause?: Error): OverlaydError {
  return new OverlaydError(
    'conflict',
    `the agent works on it since ${ANSWER_MS / 60_000} minutes; its log and \`overlayd status\` say what holds it up`,
    { cause, retryable: true },
  );
}

export function unknownRequest(cause?: Error): OverlaydError {
  return new OverlaydError(
    'version-mismatch',
    'the agent that runs is of an older release, which does not know this request: restart the agent (`systemctl restart overlayd`)',
    { cause },
  );
}

/** What connecting failed with; undefined: something that says nothing of whether it runs. */
export function notReached(socketPath: string, why: string | undefined, cause?: Error): OverlaydError | undefined {
  if (/EACCES|EPERM/.test(why ?? '')) {
    return new OverlaydError(
      'permission-denied',
      `no permission to talk to the agent on ${socketPath}; run the command as root (sudo) or as a member of its group`,
      { cause },
    );
  }
  if (!/ENOENT|ECONNREFUSED|ENOTSOCK/.test(why ?? '')) return undefined;
  return new OverlaydError(
    'agent-not-running',
    `the agent does not answer on ${socketPath}: start it with \`systemctl start overlayd\` or \`overlayd agent\``,
    { cause },
  );
}

/** `why`: in the words of whoever noticed. */
export function wentAway(why: string, cause?: Error): OverlaydError {
  return new OverlaydError(
    'agent-not-running',
    `the agent went away during the request, or answers no more (${why}); see \`systemctl status overlayd\` and its log`,
    { cause, retryable: true },
  );
}
