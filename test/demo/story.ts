import type { Lab } from '../lab/lab.ts';
import type { Narrator } from './narrator.ts';
import type { Prompt } from './prompt.ts';

export interface Stage {
  readonly lab: Lab;
  readonly narrator: Narrator;
  readonly prompt: Prompt;
}

/** What the demo shows, on three hosts whose agents run. Each part throws when something is not as it is told. */
export interface Story {
  readonly play: (stage: Stage) => Promise<void>;
  /** Takes everything away again and checks that it is. */
  readonly clear: (stage: Stage) => Promise<void>;
  /** What to try when it goes on running. */
  readonly hints: readonly string[];
}
