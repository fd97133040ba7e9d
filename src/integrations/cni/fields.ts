/** Fields of JSON that somebody wrote by hand: of the right type, or refused by their name. */
import { CNI, cniError } from './problem.ts';

export type Fields = Readonly<Record<string, unknown>>;

/** Absent, null: undefined. */
export function textOf(fields: Fields, name: string, where = ''): string | undefined {
  const value = fields[name] ?? undefined;
  if (value === undefined || typeof value === 'string') return value || undefined;
  throw wrong(where + name, 'a text');
}

export function textsOf(fields: Fields, name: string, where = ''): readonly string[] {
  const value = fields[name] ?? [];
  if (Array.isArray(value) && value.every((each) => typeof each === 'string')) return value;
  throw wrong(where + name, 'a list of texts');
}

export function fieldsOf(fields: Fields, name: string, where = ''): Fields {
  const value = fields[name] ?? {};
  if (isFields(value)) return value;
  throw wrong(where + name, 'an object');
}

export function listOf(fields: Fields, name: string, where = ''): readonly Fields[] {
  const value = fields[name] ?? [];
  if (Array.isArray(value) && value.every(isFields)) return value;
  throw wrong(where + name, 'a list of objects');
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function wrong(field: string, type: string) {
  return cniError(CNI.config, `"${field}" in the CNI configuration has to be ${type}`);
}
