/** What is asked of the process that serves the page. */

/** What it refuses, in its words. */
export class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** JSON. Throws {@link Refused}. */
export async function read<T>(path: string): Promise<T> {
  return answerOf<T>(await fetch(path).catch(gone));
}

/** The same of what is asked for with words. */
export async function ask<T>(path: string, body: object): Promise<T> {
  const headers = { 'Content-Type': 'application/json' };
  return answerOf<T>(await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) }).catch(gone));
}

async function answerOf<T>(response: Response): Promise<T> {
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body as T;
  throw new Refused(response.status, String((body as { message?: unknown }).message ?? response.statusText));
}

function gone(): never {
  throw new Refused(0, 'the process that serves this page does not answer: is `overlayd ui` still running?');
}
