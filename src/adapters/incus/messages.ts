/** What is read of Incus' answers (its API 1.0), whatever else they say. */
import { wishesIn } from '../../core/incus/wish.ts';
import type { IncusInstance } from '../../ports/incus.ts';

/** An instance, and the member of Incus' own cluster that it is on; `none` where there is none. */
export interface LocatedInstance extends IncusInstance {
  readonly location: string;
}

/** `metadata` of an answer; undefined when it is none of Incus'. */
export function metadataOf(text: string): unknown {
  return asObject(parse(text)).metadata;
}

/** Why Incus refused. */
export function errorOf(text: string): string {
  const { error } = asObject(parse(text));
  return typeof error === 'string' && error !== '' ? error : text.slice(0, 200);
}

/** Undefined: no instance that can be read. */
export function instanceOf(value: unknown): LocatedInstance | undefined {
  const { name, project, type, status, config, expanded_config, location } = asObject(value);
  if (typeof name !== 'string' || typeof status !== 'string') return undefined;
  return {
    name,
    project: typeof project === 'string' && project !== '' ? project : 'default',
    kind: type === 'virtual-machine' ? type : 'container',
    // One that is paused has its namespaces all the same; of `Error` Incus itself does not know, as when LXC takes long to answer.
    isRunning: ['Running', 'Ready', 'Frozen', 'Freezing', 'Thawed', 'Error'].includes(status),
    wishes: wishesIn(textsOf(expanded_config ?? config)),
    location: typeof location === 'string' && location !== '' ? location : 'none',
  };
}

/** Of an instance's state; 0 when it does not run. */
export function pidOf(value: unknown): number {
  const { pid } = asObject(value);
  return typeof pid === 'number' && Number.isInteger(pid) && pid > 0 ? pid : 0;
}

/** What this member of Incus' own cluster is called. */
export function serverNameOf(value: unknown): string {
  const { server_name } = asObject(asObject(value).environment);
  return typeof server_name === 'string' ? server_name : '';
}

/** Whether an event (type `lifecycle`) may mean that an instance, or what is wanted of it, is another. */
export function isChange(text: string): boolean {
  const { action } = asObject(asObject(parse(text)).metadata);
  return (
    typeof action === 'string' &&
    /^(instance-(created|deleted|migrated|ready|renamed|restarted|restored|resumed|shutdown|started|stopped|updated)|profile-\w+|project-\w+)$/.test(
      action,
    )
  );
}

function textsOf(value: unknown): Record<string, string> {
  const entries = Object.entries(asObject(value));
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
