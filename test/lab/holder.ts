import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { childrenOf, killTree, letGo, start } from './process.ts';

/**
 * The process that keeps a set of namespaces alive. It is their pid 1 and waits for the end of its standard input, so
 * whatever becomes of the test run (failure, Ctrl-C, SIGKILL), the kernel then ends every process inside and with
 * them the namespaces, mounts, links and rules.
 */
export interface Holder {
  /** Process id of its pid 1, as this process sees it. */
  readonly pid: number;
  /** The process that waits for it. */
  readonly child: ChildProcess;
}

const HOLD = `
echo ready
while read -r line; do
  if [ "$line" = keep ]; then
    mkfifo "$STATE/hold" 2>/dev/null
    exec 0<>"$STATE/hold"
  fi
done
`;

/** `script` sets the namespaces up (bash, `set -e`); `$STATE` is a directory of its own. */
export async function hold(flags: readonly string[], script: string, state: string, args: readonly string[]) {
  const child = start(
    [
      'unshare',
      ...flags,
      '--pid',
      '--mount',
      '--fork',
      '--kill-child',
      '--mount-proc',
      'bash',
      '--norc',
      '-c',
      `set -e\n${script}\n${HOLD}`,
      'holder',
      ...args,
    ],
    { stdio: ['pipe', 'pipe', 'pipe'], detached: true, env: { ...process.env, STATE: state } },
  );
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  for await (const line of createInterface({ input: child.stdout! })) {
    if (line !== 'ready') continue;
    const pid = childrenOf(child.pid!)[0];
    if (pid !== undefined) return { pid, child } satisfies Holder;
  }
  throw new Error(`the namespaces could not be made: ${stderr || 'is this run as root?'}`);
}

/** Ends the holder and with it everything inside; resolves when the namespaces' processes are gone. */
export async function release(holder: Holder): Promise<void> {
  if (holder.child.exitCode !== null || holder.child.signalCode !== null) return;
  const gone = new Promise((resolve) => holder.child.once('exit', resolve));
  killTree(holder.pid);
  await gone;
}

/** Lets the namespaces outlive this process; `killTree(pid)` ends them later. */
export function keep(holder: Holder): void {
  holder.child.stdin!.write('keep\n');
  letGo(holder.child);
  for (const stream of [holder.child.stdin, holder.child.stdout, holder.child.stderr]) {
    (stream as { unref?: () => void } | null)?.unref?.();
  }
}
