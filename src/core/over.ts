/**
 * The reason of an abort that nobody asks for: what was waited for came, or is not wanted any more. An abort without a reason makes
 * an error with a stack trace of its own, which takes longer than what it ends.
 */
export const OVER = new Error('it is over');
