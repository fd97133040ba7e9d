/** `self` in a filter: the node that is asked. */
import type { ControlClient } from './client.ts';
import type { Filter } from './filter.ts';

const SELF = 'self';

/** The filters with the node's name for `node=self`. */
export async function withSelf(client: ControlClient, filters: readonly Filter[] = []): Promise<readonly Filter[]> {
  const means = ({ key, value }: Filter) => key === 'node' && value === SELF;
  if (!filters.some(means)) return filters;
  const { name } = await client.getNode({ ref: SELF });
  return filters.map((filter) => (means(filter) ? { ...filter, value: name } : filter));
}
