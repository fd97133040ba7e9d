/**
 * Containers that a tool of this host knows by a name of its own: `machine:build` of systemd-machined, `lxc:db` of LXC, `incus:db` or
 * `incus:PROJECT/db` of Incus. Which process each began with only the tool can say; of LXC a hook may say it: `lxc:db@4711`.
 */
export const NAMED_KINDS = ['machine', 'lxc', 'incus'] as const;

export type NamedKind = (typeof NAMED_KINDS)[number];

export interface NamedContainer {
  readonly kind: NamedKind;
  /** As the tool has it, without what a hook has added. */
  readonly name: string;
  /** Its first process, where it was said. Nothing else of it runs yet. */
  readonly pid?: number;
}

/** Each tool's own rule for names. */
const NAMED =
  /^(?:(machine):([a-zA-Z0-9][a-zA-Z0-9_.-]{0,63})|(lxc):([a-zA-Z0-9_][a-zA-Z0-9_.-]{0,63})(?:@([1-9]\d{0,9}))?|(incus):((?:[a-zA-Z0-9_.-]{1,63}\/)?[a-zA-Z0-9][a-zA-Z0-9-]{0,62}))$/;

export function parseNamedContainer(text: string): NamedContainer | undefined {
  const [, machine, machineName, lxc, lxcName, pid, incus, incusName] = NAMED.exec(text) ?? [];
  const kind = (machine ?? lxc ?? incus) as NamedKind | undefined;
  const name = machineName ?? lxcName ?? incusName;
  if (kind === undefined || name === undefined) return undefined;
  return pid === undefined ? { kind, name } : { kind, name, pid: Number(pid) };
}

/** As endpoints and listings have it. */
export function formatNamedContainer({ kind, name }: NamedContainer): string {
  return `${kind}:${name}`;
}

/** Whether CONTAINER is written as a namespace, a process or a container of such a tool, well or not, and not as one of Docker's. */
export function isWrittenAsNamespace(container: string): boolean {
  return /^(netns|pid|machine|lxc|incus):/.test(container);
}

/** What is not Docker's, as messages name the ways to write it. */
export const WAYS_TO_WRITE = 'netns:NAME, netns:/PATH, pid:NUMBER, machine:NAME, lxc:NAME or incus:NAME';
