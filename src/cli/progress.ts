/** Says what a slow request is doing: nothing for two seconds, then one updating line on a terminal, plain lines elsewhere. */
import type { OnProgress } from './client.ts';

const PATIENCE_MS = 2_000;
const CLEAR_LINE = '\r\x1b[K';

export interface ProgressOutput {
  readonly writeError: (text: string) => void;
  readonly terminal: { readonly error: boolean };
  readonly columns: number;
}

export async function withProgress<T>(
  output: ProgressOutput,
  waiting: string,
  work: (report: OnProgress) => Promise<T>,
): Promise<T> {
  let latest = waiting;
  let visible = false;
  const show = () => {
    if (!output.terminal.error) output.writeError(`${latest}\n`);
    else output.writeError(`${CLEAR_LINE}${latest.slice(0, Math.max(10, output.columns - 1))}`);
    visible = true;
  };
  const timer = setTimeout(show, PATIENCE_MS);
  try {
    return await work((message) => {
      if (message === latest) return;
      latest = message;
      if (visible) show();
    });
  } finally {
    clearTimeout(timer);
    if (visible && output.terminal.error) output.writeError(CLEAR_LINE);
  }
}
