import type { Host } from './host.ts';
import type { Outcome } from './process.ts';

/** One plugin of a list, as a configuration has it. */
export type Plugin = Readonly<Record<string, unknown>> & { readonly type: string };

export interface PluginList {
  readonly cniVersion: string;
  readonly name: string;
  readonly plugins: readonly Plugin[];
}

export interface Attachment {
  readonly containerId: string;
  /** Empty: the runtime does not say. */
  readonly netns: string;
  readonly ifname?: string;
  readonly args?: string;
  /** By capability. */
  readonly capabilities?: Readonly<Record<string, unknown>>;
}

/**
 * What a CNI runtime does, as libcni has it: ADD runs the plugins of a list one after the other, DEL backwards. Written after
 * its specification: Debian has no program for it.
 */
export class CniRuntime {
  readonly #host: Host;
  readonly #binDirs: readonly string[];

  constructor(host: Host, binDirs: readonly string[] = ['/opt/cni/bin', '/usr/lib/cni']) {
    this.#host = host;
    this.#binDirs = binDirs;
  }

  /** The configuration that is installed there. */
  async installed(path: string): Promise<PluginList> {
    return JSON.parse(await this.#host.must(['cat', path]));
  }

  /** The last plugin's result. Throws what a plugin refuses, as its JSON says it. */
  // biome-ignore lint/suspicious/noExplicitAny: each test knows the shape it asks for
  async add(list: PluginList, attachment: Attachment): Promise<any> {
    let prevResult: unknown;
    for (const plugin of list.plugins) {
      prevResult = JSON.parse(await this.#must('ADD', list, plugin, attachment, prevResult));
    }
    return prevResult;
  }

  async del(list: PluginList, attachment: Attachment, prevResult?: unknown): Promise<void> {
    for (const plugin of list.plugins.toReversed()) await this.#must('DEL', list, plugin, attachment, prevResult);
  }

  async check(list: PluginList, attachment: Attachment, prevResult: unknown): Promise<void> {
    for (const plugin of list.plugins) await this.#must('CHECK', list, plugin, attachment, prevResult);
  }

  /** One command of one plugin. */
  async run(
    command: string,
    list: PluginList,
    plugin: Plugin,
    { containerId, netns, ifname = 'eth0', args, capabilities = {} }: Partial<Attachment>,
    more: object = {},
  ): Promise<Outcome> {
    const { capabilities: taken, ...configuration } = plugin;
    const known = Object.entries(capabilities).filter(([name]) => (taken as Record<string, unknown>)?.[name] === true);
    const input = JSON.stringify({
      ...configuration,
      ...{ cniVersion: list.cniVersion, name: list.name },
      ...(known.length === 0 ? {} : { runtimeConfig: Object.fromEntries(known) }),
      ...more,
    });
    const find = this.#binDirs.map((directory) => `${directory}/${plugin.type}`);
    const env = {
      ...{ CNI_COMMAND: command, CNI_PATH: this.#binDirs.join(':') },
      ...(containerId === undefined ? {} : { CNI_CONTAINERID: containerId, CNI_IFNAME: ifname }),
      ...(netns === undefined ? {} : { CNI_NETNS: netns }),
      ...(args === undefined ? {} : { CNI_ARGS: args }),
    };
    const script = 'for path; do [ ! -x "$path" ] || exec "$path"; done; echo "no plugin in $*" >&2; exit 127';
    return this.#host.run(['sh', '-c', script, 'cni', ...find], { env, input });
  }

  async #must(
    command: string,
    list: PluginList,
    plugin: Plugin,
    attachment: Attachment,
    prevResult: unknown,
  ): Promise<string> {
    const outcome = await this.run(command, list, plugin, attachment, prevResult === undefined ? {} : { prevResult });
    if (outcome.code === 0) return outcome.stdout;
    throw new Error(`${command} of ${plugin.type} ended with ${outcome.code}: ${outcome.stdout}${outcome.stderr}`);
  }
}
