/**
 * Addresses that an engine asked for and has made no endpoint of yet. It asks for each family by itself, IPv4 first, and nothing
 * that it says tells which two belong together; of one network object it makes one endpoint at a time. So its first question
 * claims an address of each family, by one transaction, and the second is answered out of that. What is put together wrongly
 * all the same, as by two objects of one network, shows when the endpoint is made.
 */
import { type Family, familyOf } from '../../core/ip.ts';
import { type EndpointRecord, hasAddress } from '../../core/records.ts';

/** What an engine asks for before it makes an endpoint. */
export interface WantedAddress {
  readonly family: Family;
  /** That one; undefined: any. */
  readonly ip: string | undefined;
  /** What the endpoint goes by until more is known. */
  readonly name: string | undefined;
}

export interface Reservation {
  readonly record: EndpointRecord;
  readonly madeAt: number;
  /** The addresses that the engine was told. */
  readonly told: readonly string[];
  /** It asked for one of them. */
  readonly isAsked: boolean;
}

export class Reservations {
  /** By record id, in the order in which they were made. */
  readonly #all = new Map<string, Reservation>();

  keep(reservation: Reservation): void {
    this.#all.set(reservation.record.id, reservation);
  }

  has({ id }: Pick<EndpointRecord, 'id'>): boolean {
    return this.#all.has(id);
  }

  /** The one that has the address. */
  find(networkId: string, address: string): Reservation | undefined {
    return this.#on(networkId).find(({ record }) => hasAddress(record, address));
  }

  /** The latest of which the engine was told an address, but not that of this family. */
  begun(networkId: string, family: Family): Reservation | undefined {
    return this.#on(networkId).findLast(
      ({ record, told }) =>
        addressOf(record, family) !== undefined && !told.some((address) => familyOf(address) === family),
    );
  }

  /** The engine is told that address of it, too. */
  tell(reservation: Reservation, address: string): string {
    this.keep({ ...reservation, told: [...new Set([...reservation.told, address])] });
    return address;
  }

  /** False: it is none any more. */
  remove({ id }: Pick<EndpointRecord, 'id'>): boolean {
    return this.#all.delete(id);
  }

  madeBefore(time: number): Reservation[] {
    return [...this.#all.values()].filter(({ madeAt }) => madeAt <= time);
  }

  #on(networkId: string): Reservation[] {
    return [...this.#all.values()].filter(({ record }) => record.networkId === networkId);
  }
}

/** The first of that family. */
export function addressOf({ addresses }: Pick<EndpointRecord, 'addresses'>, family: Family): string | undefined {
  return addresses.find(({ ip }) => familyOf(ip) === family)?.ip;
}

/** Whether it has these addresses and no other. */
export function isExactly(record: EndpointRecord, addresses: readonly string[]): boolean {
  return record.addresses.length === addresses.length && addresses.every((address) => hasAddress(record, address));
}
