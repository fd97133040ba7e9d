import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { EVENT_TYPES } from '../../../src/core/events/event-types.ts';

it('documents every type of event with what it is about, and no other', () => {
  const text = readFileSync(new URL('../../../docs/events.md', import.meta.url), 'utf8');
  const documented = [...text.matchAll(/^\| `([a-z0-9-]+)` \| ([a-z-]+) \|/gm)].map(([, type, about]) => [type, about]);
  expect(documented.toSorted()).toEqual(Object.entries(EVENT_TYPES).toSorted());
});
