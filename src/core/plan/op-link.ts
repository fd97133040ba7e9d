import type { Op } from '../host-state.ts';

/** The link that the op is about; undefined: it is about none. */
export function linkOf(op: Op): string | undefined {
  switch (op.kind) {
    case 'set-link':
    case 'set-port':
      return op.name;
    case 'add-address':
    case 'delete-address':
      return op.address.link;
    case 'set-route':
    case 'delete-route':
      return op.route.link;
    case 'set-neighbour':
    case 'delete-neighbour':
      return op.neighbour.link;
    case 'set-fdb':
    case 'delete-fdb':
      return op.row.link;
    default:
      return undefined;
  }
}
