/** `--filter` of `network ls` and `network prune`, with Docker's meaning. */
import { parsePruneFilters } from '../core/network-filter.ts';
import type { Network } from '../gen/overlayd/v1/control.ts';
import { checkLocally } from './exit.ts';
import { type Filters, hasLabel, is, isNamed, isOneOf, startsWith } from './filter.ts';
import { DRIVER, SCOPE } from './network-json.ts';

export const NETWORK_FILTERS: Filters<Network> = {
  dangling: is(({ endpointCount }) => endpointCount === 0),
  driver: isOneOf(() => [DRIVER, 'overlay']),
  encrypted: is(({ encrypted }) => encrypted),
  id: startsWith(({ id }) => id),
  internal: is(({ internal }) => internal),
  label: hasLabel(({ labels }) => labels),
  name: isNamed(({ name }) => name),
  scope: isOneOf(() => SCOPE),
  state: isOneOf(({ state }) => state),
  type: isOneOf(() => 'custom', ['custom', 'builtin']),
};

/** The agent applies it; here only its form is checked. */
export function parsePruneFilter(text: string): string {
  checkLocally(() => parsePruneFilters([text], 0));
  return text;
}
