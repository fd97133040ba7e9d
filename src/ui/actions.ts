/** What the page asks of the agent, besides what it is told anyway. */
import { OverlaydError } from '../core/errors.ts';
import type { DiagnoseRequest, Diagnosis } from '../gen/overlayd/v1/control.ts';
import { VERSION } from '../version.ts';
import type { Actions } from './page-server.ts';

export interface AskedAgent {
  diagnose(request: DiagnoseRequest): Promise<Diagnosis>;
}

export function pageActions(agent: AskedAgent): Actions {
  return {
    diagnose: ({ peer = '', network = '' }) =>
      agent.diagnose({ peer: text(peer), network: text(network), commandVersion: VERSION }),
  };
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  throw new OverlaydError('invalid-argument', 'what is asked is to be text');
}
