/**
 * The agent as a CNI plugin. An attachment is known by the configuration's name, the container's id and the interface; all
 * that the runtime says beside that may be gone when it is deleted. Source: CNI 1.1.0, "Execution protocol".
 */
import type { Attachments, AttachRequest } from '../../agent/attachments/attachments.ts';
import type { Connection } from '../../agent/endpoints/endpoints.ts';
import type { Lifecycle } from '../../agent/lifecycle.ts';
import { requireUnbound, requireWayOut } from '../../agent/publish/publishing.ts';
import type { LocalEndpoint } from '../../core/container.ts';
import { isOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { NamespaceState } from '../../core/host-state.ts';
import type { Containers, HostFacts } from '../../ports/host.ts';
import type { ToolCall, ToolDoor } from '../../ports/tools.ts';
import type { Patience } from '../patience.ts';
import { checkAttachment } from './check.ts';
import { fieldsOf } from './fields.ts';
import { namings } from './names.ts';
import { CNI, cniError, renderProblem } from './problem.ts';
import {
  type AttachmentId,
  type Configuration,
  checkConfiguration,
  NEWEST,
  parseConfiguration,
  parseSubject,
  parseValid,
  parseWishes,
  VERSIONS,
  versionIn,
} from './request.ts';
import { renderResult } from './result.ts';

export interface CniDeps {
  readonly lifecycle: Pick<Lifecycle, 'require' | 'current' | 'situation'>;
  readonly attachments: Attachments;
  readonly containers: Pick<Containers, 'isAlive'>;
  readonly facts: Pick<HostFacts, 'bindProblem'>;
  /** What a container's namespace holds. Throws `namespace-unusable`. */
  readonly inside: (path: string) => Promise<NamespaceState>;
  readonly patient: Patience;
}

const TOOL = 'cni';
const PROCESS = /^\/proc\/\d+\/ns\/net$/;

export function createCniDoor(deps: CniDeps): ToolDoor {
  const { attachments, containers, facts, inside, lifecycle, patient } = deps;

  async function add(call: ToolCall): Promise<string> {
    const configuration = parseConfiguration(call.input);
    const subject = parseSubject(call, true);
    checkConfiguration(configuration);
    const wishes = parseWishes(call, configuration);
    const { aliases: _, name: __, resolver, args: ___, ...rest } = wishes;
    const { netns, ifname, containerId } = subject;
    const { published } = wishes;
    if (published.length > 0) {
      requireWayOut(await lifecycle.require().member.networks.find(configuration.network));
      await requireUnbound(facts, published);
    }
    const key = keyOf(configuration, subject);
    const owner = { tool: TOOL, key, container: containerId, names: 'told' } as const;
    const request = { ...rest, network: configuration.network, container: `netns:${netns}`, ifname, owner };
    const connection = await attachNamed(namings(containerId, wishes).map((naming) => ({ ...request, ...naming })));
    const report = attachments.report(connection.endpoint);
    if (report === undefined) throw lost(connection.endpoint);
    return renderResult(report, {
      ...{ cniVersion: configuration.cniVersion, netns, resolver, internal: connection.network.internal },
      previous: fieldsOf(configuration.fields, 'prevResult'),
    });
  }

  /** By the first name that nobody has. */
  async function attachNamed([first, ...others]: readonly AttachRequest[]): Promise<Connection> {
    try {
      return await attachments.attach(first!);
    } catch (error) {
      if (others.length === 0 || !isOverlaydError(error, 'endpoint-exists')) throw error;
      return await attachNamed(others);
    }
  }

  /**
   * Without a namespace it is over, or a runtime has sent a signal to the container's process, which goes on. As long as it
   * does, its endpoint stays, and goes with it: that is seen without being told.
   */
  async function remove(call: ToolCall): Promise<string> {
    const owner = { tool: TOOL, key: keyOf(parseConfiguration(call.input), parseSubject(call, false)) };
    // An ADD may be going on that its runtime gave up.
    await attachments.detach(owner, 'its runtime deleted it', ({ container }) => {
      return !call.env.CNI_NETNS && PROCESS.test(container.path) && containers.isAlive(container);
    });
    return '';
  }

  async function check(call: ToolCall): Promise<string> {
    const configuration = parseConfiguration(call.input);
    const subject = parseSubject(call, true);
    const { containerId, ifname } = subject;
    const known = attachments.find({ tool: TOOL, key: keyOf(configuration, subject) });
    if (known === undefined) {
      throw new OverlaydError(
        'endpoint-not-found',
        `container ${containerId} has no ${ifname} on network ${configuration.network} by CNI`,
      );
    }
    const report = attachments.report(known);
    if (report === undefined) throw lost(known);
    const { fields } = configuration;
    const previous = fields.prevResult === undefined ? undefined : fieldsOf(fields, 'prevResult');
    checkAttachment(report, await inside(known.container.path), previous);
    return '';
  }

  /** What the runtime does not have any more is deleted; each is tried. */
  async function collect(call: ToolCall): Promise<string> {
    const configuration = parseConfiguration(call.input);
    const valid = parseValid(configuration);
    if (valid === undefined) {
      throw cniError(CNI.config, 'GC needs "cni.dev/valid-attachments" in the CNI configuration');
    }
    const keep = new Set(valid.map((each) => keyOf(configuration, each)));
    const own = `${configuration.name}/`;
    const gone = attachments.all(TOOL).flatMap(({ owner }) => {
      return owner?.key.startsWith(own) && !keep.has(owner.key) ? [owner] : [];
    });
    await Promise.all(gone.map((owner) => attachments.detach(owner, 'its runtime does not have it any more')));
    return '';
  }

  /** Whether ADD would find what it needs. */
  async function status(call: ToolCall): Promise<string> {
    const configuration = parseConfiguration(call.input);
    checkConfiguration(configuration);
    const { member } = lifecycle.require();
    await member.networks.find(configuration.network);
    if (!member.storeConnected) {
      throw new OverlaydError('store-unavailable', 'etcd does not answer, and addresses are claimed there', {
        retryable: true,
      });
    }
    return '';
  }

  /** On a host that is no member, nor should be one, nothing is left to be deleted. */
  const forgiving =
    (handle: (call: ToolCall) => Promise<string>) =>
    async (call: ToolCall): Promise<string> => {
      try {
        return await handle(call);
      } catch (error) {
        const { busy, problem } = lifecycle.situation;
        const isNone = busy === undefined && problem === undefined && lifecycle.current === undefined;
        if (isNone && isOverlaydError(error, 'not-joined')) return '';
        throw error;
      }
    };

  const commands: Readonly<Record<string, ToolDoor['handle']>> = {
    ADD: patient(add),
    DEL: patient(forgiving(remove)),
    CHECK: patient(check),
    GC: patient(forgiving(collect)),
    STATUS: status,
    VERSION: async ({ input }) => `${JSON.stringify({ cniVersion: versionIn(input), supportedVersions: VERSIONS })}\n`,
  };

  return {
    async handle(call, signal) {
      const command = Object.hasOwn(commands, call.verb) ? commands[call.verb] : undefined;
      if (command) return await command(call, signal);
      const known = Object.keys(commands).join(', ');
      throw cniError(CNI.environment, `CNI_COMMAND ${call.verb} is not known (known: ${known})`);
    },
    refuse: (thrown, { verb, input }) => {
      const said = versionIn(input);
      return renderProblem(thrown, verb, VERSIONS.includes(said) ? said : NEWEST);
    },
  };
}

/** None of the three has a slash. */
function keyOf({ name }: Configuration, { containerId, ifname }: AttachmentId): string {
  return `${name}/${containerId}/${ifname}`;
}

function lost({ record }: LocalEndpoint): OverlaydError {
  return new OverlaydError('conflict', `endpoint ${record.name} has lost its address, or its network; try again`, {
    retryable: true,
  });
}
