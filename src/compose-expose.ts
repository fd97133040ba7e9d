/** What puts this host itself on networks. */
import type { Exec } from './adapters/exec.ts';
import { createHostResolver } from './adapters/system/host-resolver.ts';
import { Exposing } from './agent/expose/exposing.ts';
import { HostNames } from './agent/expose/host-names.ts';
import type { Lifecycle } from './agent/lifecycle.ts';
import type { HostFacts } from './ports/host.ts';
import type { Clock, Logger } from './ports/runtime.ts';

export interface ExposeParts {
  readonly exec: Exec;
  readonly lifecycle: Lifecycle;
  readonly facts: HostFacts;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Looks after the host's resolver until the signal aborts. */
export function composeExpose({ exec, lifecycle, ...parts }: ExposeParts, signal: AbortSignal): Exposing {
  const resolver = createHostResolver(exec);
  const names = new HostNames({ ...parts, resolver, member: () => lifecycle.current?.member });
  void names.run(signal);
  return new Exposing({ ...parts, names, member: () => lifecycle.require().member });
}
