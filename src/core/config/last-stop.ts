/**
 * In the run directory: whoever stops the agent for good leaves this file there before, so that no other host awaits the agent. It is
 * of one stop alone.
 */
export const LAST_STOP_FILE = 'last-stop';
