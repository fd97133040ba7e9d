import { killTree, start } from '../lab/process.ts';

/** Other work, which has nothing to do with networks: so many endless loops. */
export interface Load {
  end(): void;
}

/** They end by themselves after so many seconds, whatever becomes of this process. Each is a session of its own. */
export function startLoad(loops: number, seconds: number): Load {
  const argv = ['timeout', String(seconds), 'sh', '-c', 'while :; do :; done'];
  const children = Array.from({ length: loops }, () => start(argv, { stdio: 'ignore', detached: true }));
  return {
    end() {
      for (const { pid } of children) killTree(pid);
    },
  };
}
