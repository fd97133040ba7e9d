/** Container tools that run a program for each thing that they want of a network. That program hands the call to the agent. */
import type { OverlaydError } from '../core/errors.ts';

export interface ToolCall {
  /** What the tool wants, e.g. `ADD` or `setup`. */
  readonly verb: string;
  /** What follows the verb in its command line. */
  readonly args: readonly string[];
  /** Of its environment, what belongs to its protocol. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Its standard input. */
  readonly input: string;
}

/** How a tool's calls are answered: in words of its own protocol. */
export interface ToolDoor {
  /** What the program prints before it ends well. Ends soon after the signal aborts. */
  handle(call: ToolCall, signal: AbortSignal): Promise<string>;
  /** What the program prints before it ends with 1. `thrown`: what `handle` threw, or that it took too long. */
  refuse(thrown: OverlaydError, call: ToolCall): string;
}
