import type { Results } from './results.ts';

export function writePage(_results: Results): void {}
