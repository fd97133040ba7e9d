/** Whether a host is there of which no agent answers. */
import { parseHostPort } from '../../core/host-port.ts';
import { knock } from '../knock.ts';

/** A kernel refuses a connection to a port that nobody listens at. Who is off, or cut off, says nothing. `address`: `host:port`. Never rejects. */
export async function takesOrRefuses(address: string, timeoutMs: number): Promise<boolean> {
  const { host, port } = parseHostPort(address) ?? {};
  if (host === undefined || port === undefined) return false;
  const knocked = await knock({ host, port }, AbortSignal.timeout(timeoutMs));
  return knocked === 'taken' || knocked === 'refused';
}
