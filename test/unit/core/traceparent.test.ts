import { expect, it } from 'vitest';
import { formatTraceparent, parseTraceparent } from '../../../src/core/traceparent.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

it('is read and written as W3C has it', () => {
  const text = `00-${TRACE}-${SPAN}-01`;
  expect(parseTraceparent(text)).toEqual({ traceId: TRACE, spanId: SPAN, sampled: true });
  expect(formatTraceparent(parseTraceparent(text)!)).toBe(text);
  expect(parseTraceparent(`00-${TRACE}-${SPAN}-00`)?.sampled).toBe(false);
  // A later version may say more behind it.
  expect(parseTraceparent(`01-${TRACE}-${SPAN}-03-more`)?.sampled).toBe(true);
});

it.each([
  undefined,
  '',
  `ff-${TRACE}-${SPAN}-01`,
  `00-${'0'.repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${TRACE}-${SPAN}`,
])('is none: %s', (text) => {
  expect(parseTraceparent(text)).toBeUndefined();
});
