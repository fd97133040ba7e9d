/** Errors as another thread can be told them, and what becomes of them there. */
import { OverlaydError } from '../../core/errors.ts';

/** `code`: a name of errno(3) (`ENOENT`), or one of ours (`tool-missing`); empty where there is none. */
export interface PlainError {
  readonly code: string;
  readonly message: string;
}

/** Of what Node.js, a system call or we ourselves threw. */
export function plainError(error: unknown): PlainError {
  const { code = '', message = String(error) } = error as { readonly code?: string; readonly message?: string };
  return { code, message };
}

/** `what` failed: `tool-missing` where that is why, else `data-path-failed`, to be tried again. */
export function failure(what: string, { code, message }: PlainError): OverlaydError {
  if (code === 'tool-missing') return new OverlaydError('tool-missing', message);
  return new OverlaydError('data-path-failed', `${what}: ${message}`, { retryable: true });
}
