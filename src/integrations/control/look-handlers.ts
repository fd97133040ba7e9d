/** The control service's part that tells what a host sees now. */
import type { ClusterLooks } from '../../agent/look/cluster-looks.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { LookRequest } from '../../gen/overlayd/v1/control.ts';
import type { Seen } from '../../gen/overlayd/v1/look.ts';

export interface LookHandlersDeps {
  readonly looks: Pick<ClusterLooks, 'from'>;
}

export function lookHandlers({ looks }: LookHandlersDeps) {
  return {
    lookFrom: async ({ node, look }: LookRequest, signal: AbortSignal): Promise<Seen> => {
      if (!look) throw new OverlaydError('invalid-argument', 'it is not said what to look at');
      const { things, name } = await looks.from(node, { ...look, name: look.name }, signal);
      return {
        things: things.map((thing) => ({ ...thing })),
        name: name && { ...name, answers: name.answers.map((answer) => ({ ...answer })) },
      };
    },
  };
}
