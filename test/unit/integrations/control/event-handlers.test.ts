import { expect, test } from 'vitest';
import { EventsRequest } from '../../../../src/gen/overlayd/v1/control.ts';
import { eventHandlers } from '../../../../src/integrations/control/event-handlers.ts';

test('a filter larger than anybody needs is refused, and no host is asked', async () => {
  const { followEvents } = eventHandlers({
    events: {
      tell: () => {
        throw new Error('asked');
      },
    },
  });
  const types = Array.from({ length: 101 }, () => 'store');
  const asked = followEvents(
    EventsRequest.fromPartial({ query: { types } }),
    async () => {},
    new AbortController().signal,
  );
  await expect(asked).rejects.toMatchObject({
    code: 'invalid-argument',
    message: expect.stringContaining('101 types'),
  });
});
