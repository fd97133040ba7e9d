/** The record of a network's services, below `services/`. */
import type { EndpointAddress } from './records.ts';

/** Aliases of a network that have an address of their own (`service.ts`), all in one record, by name. */
export interface ServicesRecord {
  readonly networkId: string;
  readonly services: readonly ServiceRecord[];
}

export interface ServiceRecord {
  /** 64 hex characters: what the claims of its addresses name. */
  readonly id: string;
  /** The alias, in lower case. */
  readonly name: string;
  /** One of each of the network's families, IPv4 first. */
  readonly addresses: readonly EndpointAddress[];
  readonly createdAt: number;
  /** Made because its network says so of all aliases, and gone after its last container. Absent: a person made it. */
  readonly automatic?: true;
}
