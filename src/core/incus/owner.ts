/** What an endpoint of an instance of Incus is known by: another key when its configuration says something else. */
import type { Owner } from '../attachment.ts';

export const INCUS = 'incus';

const DEFAULT_PROJECT = 'default';

/** As `incus:NAME` is written: `db`, or `PROJECT/db`. */
export function formatInstance({ project, name }: { readonly project: string; readonly name: string }): string {
  return project === DEFAULT_PROJECT ? name : `${project}/${name}`;
}

export function parseInstance(text: string): { readonly project: string; readonly name: string } {
  const [first = '', second] = text.split('/');
  return second === undefined ? { project: DEFAULT_PROJECT, name: first } : { project: first, name: second };
}

/** `network`: its name; `text`: what the instance's key says of it. */
export function incusOwner(instance: string, network: string, text: string): Owner {
  return { tool: INCUS, key: `${instance} ${network} ${text}`, container: instance, names: 'file' };
}
