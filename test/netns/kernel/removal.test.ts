/** Links are removed side by side, a few at once, whatever becomes of the namespaces of those that wait. */
import { afterEach, expect, it } from 'vitest';
import { removeLinks } from '../../../src/adapters/kernel/removal.ts';
import { TestNamespace } from '../netlink/namespace.ts';

const spaces: TestNamespace[] = [];
afterEach(() => {
  for (const space of spaces.splice(0)) space.remove();
});

function withLink(): TestNamespace {
  const space = new TestNamespace(`removal-${spaces.length}`);
  spaces.push(space);
  space.ip('link', 'add', 'e1', 'type', 'veth', 'peer', 'name', 'e2');
  return space;
}

const links = (space: TestNamespace) => space.ipRows('link', 'show').map(({ ifname }) => ifname);

it('of namespaces that go while they wait is said that they are gone, and others go on', async () => {
  const [first, second, third, fourth, last] = Array.from({ length: 5 }, withLink);
  const removals = [first!, second!, third!, fourth!].map(({ path }) => removeLinks(path, ['e1']));
  // Two at once: these wait for their turn.
  third!.remove();
  fourth!.remove();
  const outcomes = await Promise.allSettled(removals);
  const gone = expect.objectContaining({ reason: expect.objectContaining({ code: 'ENOENT' }) });
  const done = { status: 'fulfilled', value: new Map() };
  expect(outcomes).toEqual([done, done, gone, gone]);
  expect(await removeLinks(last!.path, ['e1'])).toEqual(new Map());
  expect([first!, second!, last!].map(links)).toEqual([['lo'], ['lo'], ['lo']]);
});
