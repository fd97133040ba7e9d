/** Addresses inside of the tunnels: each key has a number, and two addresses that say it (docs/adr/0020). */
import { parseIp } from '../ip.ts';
import { WIREGUARD_NUMBERS } from './state.ts';

/** First 16 bits of the addresses between which VXLAN runs, and of those of gossip and etcd (RFC 2544, appendix C.2.2). */
const VTEPS = 0xc612;
const CONTROLS = 0xc613;

/** Of a number within {@link WIREGUARD_NUMBERS}: 198.18.0.0 plus it. */
export function vtepOf(number: number): string {
  return addressOf(VTEPS, number);
}

/** 198.19.0.0 plus the number. */
export function controlOf(number: number): string {
  return addressOf(CONTROLS, number);
}

/** Undefined where the address is nobody's VTEP. */
export function numberOfVtep(address: string): number | undefined {
  return numberIn(VTEPS, address);
}

export function numberOfControl(address: string): number | undefined {
  return numberIn(CONTROLS, address);
}

export function isWireguardNumber(number: number): boolean {
  const [first, last] = WIREGUARD_NUMBERS;
  return Number.isInteger(number) && number >= first && number <= last;
}

function addressOf(block: number, number: number): string {
  return `${block >> 8}.${block & 0xff}.${number >> 8}.${number & 0xff}`;
}

function numberIn(block: number, text: string): number | undefined {
  const ip = parseIp(text);
  if (ip?.family !== 4 || ip.value >> 16n !== BigInt(block)) return undefined;
  const number = Number(ip.value & 0xffffn);
  return isWireguardNumber(number) ? number : undefined;
}
