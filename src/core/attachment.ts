/**
 * Who asked for an endpoint, and what follows from that: who sets its link up, how its container comes by our name
 * servers, and who starts it again. Plans, audits and listings ask this, and none of them asks for a tool by its name.
 */
import type { LocalEndpoint } from './container.ts';

/** A container tool that asked for an endpoint by its own program, and what it calls that endpoint. */
export interface Owner {
  /** `podman`, `cni`, …: as listings show it. */
  readonly tool: string;
  /** Opaque, and the tool's for this endpoint alone, e.g. ids of container and network and the interface's name. */
  readonly key: string;
  /** Opaque: the same for all endpoints of one container. Absent: its tool tells of each by itself. */
  readonly container?: string;
  /** `told`: the tool writes the container's resolver file, by what it is told. `file`: we do. */
  readonly names: 'told' | 'file';
}

export interface Attachment {
  /** As listings show it: a tool, or what a person named (`netns`, `pid`). */
  readonly tool: string;
  /** Who moves the link into the container and sets it up there. */
  readonly plumbedBy: 'overlayd' | 'engine';
  /** `file`: we write the container's resolver file. */
  readonly names: 'told' | 'file';
  /** After a restart of the host its containers are started again, and take what they had. */
  readonly isStartedAgain: boolean;
}

const ENGINES: Attachment = { tool: 'docker', plumbedBy: 'engine', names: 'told', isStartedAgain: true };

export function attachmentOf({ container, engine, owner }: Omit<LocalEndpoint, 'record'>): Attachment {
  if (engine) return ENGINES;
  return {
    tool: owner?.tool ?? toolNamedBy(container.text),
    plumbedBy: 'overlayd',
    names: owner?.names ?? 'file',
    isStartedAgain: false,
  };
}

export function isPlumbedByEngine({ engine }: Pick<LocalEndpoint, 'engine'>): boolean {
  return engine !== undefined;
}

/** Of a container as a person names it, e.g. `netns` of `netns:c1`. */
export function toolNamedBy(text: string): string {
  return text.slice(0, text.indexOf(':'));
}
