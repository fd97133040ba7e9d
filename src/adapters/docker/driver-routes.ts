/** Which call of the protocol is whose: those that need the agent go to its handlers, the others have fixed answers. */
import type * as z from 'zod';
import { GLOBAL_ADDRESS_SPACE, LOCAL_ADDRESS_SPACE } from '../../core/engine/driver-calls.ts';
import { OverlaydError } from '../../core/errors.ts';
import type { DriverHandlers } from '../../ports/engine.ts';
import {
  createEndpointRequest,
  createEndpointResponse,
  createNetworkRequest,
  deleteNetworkRequest,
  endpointRequest,
  externalConnectivityRequest,
  joinRequest,
  joinResponse,
  releaseAddressRequest,
  releasePoolRequest,
  requestAddressRequest,
  requestAddressResponse,
  requestPoolRequest,
  requestPoolResponse,
} from './driver-messages.ts';

export type Route =
  | { readonly kind: 'fixed'; readonly answer: object }
  /** Throws `invalid-argument` for a body of another shape, and what the handler throws. */
  | { readonly kind: 'handled'; readonly handle: (body: unknown, signal: AbortSignal) => Promise<object> };

/** By path. A method that is not in here does not exist for us, which the engine understands. */
export function createRoutes(handlers: DriverHandlers): ReadonlyMap<string, Route> {
  return new Map<string, Route>([
    ['/Plugin.Activate', fixed({ Implements: ['NetworkDriver', 'IpamDriver'] })],

    // One network object for each engine, made by its own agent: the engine's swarm has no part in it.
    ['/NetworkDriver.GetCapabilities', fixed({ Scope: 'local', ConnectivityScope: 'global' })],
    ['/NetworkDriver.CreateNetwork', handled(createNetworkRequest, handlers.createNetwork, nothing)],
    ['/NetworkDriver.DeleteNetwork', handled(deleteNetworkRequest, handlers.deleteNetwork, nothing)],
    ['/NetworkDriver.CreateEndpoint', handled(createEndpointRequest, handlers.createEndpoint, createEndpointResponse)],
    ['/NetworkDriver.EndpointOperInfo', fixed({ Value: {} })],
    ['/NetworkDriver.Join', handled(joinRequest, handlers.join, joinResponse)],
    ['/NetworkDriver.Leave', handled(endpointRequest, handlers.leave, nothing)],
    ['/NetworkDriver.DeleteEndpoint', handled(endpointRequest, handlers.deleteEndpoint, nothing)],
    [
      '/NetworkDriver.ProgramExternalConnectivity',
      handled(externalConnectivityRequest, handlers.programExternalConnectivity, nothing),
    ],
    ['/NetworkDriver.RevokeExternalConnectivity', fixed({})],
    // Other nodes of a swarm: ours are found otherwise.
    ['/NetworkDriver.DiscoverNew', fixed({})],
    ['/NetworkDriver.DiscoverDelete', fixed({})],

    // Claims are durable: nothing has to be requested again when the engine starts.
    ['/IpamDriver.GetCapabilities', fixed({ RequiresMACAddress: false, RequiresRequestReplay: false })],
    [
      '/IpamDriver.GetDefaultAddressSpaces',
      fixed({ LocalDefaultAddressSpace: LOCAL_ADDRESS_SPACE, GlobalDefaultAddressSpace: GLOBAL_ADDRESS_SPACE }),
    ],
    ['/IpamDriver.RequestPool', handled(requestPoolRequest, handlers.requestPool, requestPoolResponse)],
    ['/IpamDriver.ReleasePool', handled(releasePoolRequest, handlers.releasePool, nothing)],
    ['/IpamDriver.RequestAddress', handled(requestAddressRequest, handlers.requestAddress, requestAddressResponse)],
    ['/IpamDriver.ReleaseAddress', handled(releaseAddressRequest, handlers.releaseAddress, nothing)],
  ]);
}

function nothing(): object {
  return {};
}

function fixed(answer: object): Route {
  return { kind: 'fixed', answer };
}

function handled<Call, Answer>(
  schema: z.ZodType<Call>,
  handler: (call: Call, signal: AbortSignal) => Promise<Answer>,
  respond: (answer: Answer) => object,
): Route {
  const handle = async (body: unknown, signal: AbortSignal) => {
    const parsed = schema.safeParse(body);
    if (parsed.success) return respond(await handler(parsed.data, signal));
    const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`);
    throw new OverlaydError('invalid-argument', `the request is not as Docker's protocol says: ${problems.join('; ')}`);
  };
  return { kind: 'handled', handle };
}
