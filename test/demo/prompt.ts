import type { Project } from '../lab/engine.ts';
import type { Host } from '../lab/host.ts';
import { expectSuccess, type Outcome } from '../lab/process.ts';
import type { Narrator } from './narrator.ts';

/** Types commands on hosts, as a person would, and shows what they print. A command that fails ends the demo. */
export class Prompt {
  readonly #narrator: Narrator;

  constructor(narrator: Narrator) {
    this.#narrator = narrator;
  }

  overlayd(host: Host, ...args: readonly string[]): Promise<string> {
    return this.#type(host, ['overlayd', ...args], () => host.overlayd(...args));
  }

  docker(host: Host, ...args: readonly string[]): Promise<string> {
    return this.#type(host, ['docker', ...args], () => host.engine.docker(...args));
  }

  /** With `fails`, it has to fail. */
  refused(host: Host, ...args: readonly string[]): Promise<string> {
    return this.#type(host, ['docker', ...args], () => host.engine.docker(...args), true);
  }

  compose(host: Host, project: Project, ...args: readonly string[]): Promise<string> {
    const argv = ['docker-compose', '-p', project.name, '-f', `${project.name}.yaml`, ...args];
    return this.#type(host, argv, () => host.engine.compose(project, ...args));
  }

  /** Any other command of the host. */
  run(host: Host, argv: readonly string[], shown: readonly string[] = argv): Promise<string> {
    return this.#type(host, shown, () => host.run(argv));
  }

  /** In a container that is a plain network namespace. With `fails`, it has to fail. */
  inNamespace(host: Host, container: string, argv: readonly string[], fails = false): Promise<string> {
    const line = ['ip', 'netns', 'exec', container, ...argv];
    return this.#type(host, line, () => host.exec(container, argv), fails);
  }

  /** In a Docker container. With `fails`, it has to fail. */
  inContainer(host: Host, container: string, argv: readonly string[], fails = false): Promise<string> {
    const args = ['exec', container, ...argv];
    return this.#type(host, ['docker', ...args], () => host.engine.docker(...args), fails);
  }

  /** Something that is done to a host from outside, with the line that a person would type there. */
  async act(host: Host, line: string, action: () => Promise<unknown>): Promise<void> {
    await this.#narrator.command(`${host.name}# ${line}`, async () => {
      await action();
      return '';
    });
  }

  #type(host: Host, argv: readonly string[], run: () => Promise<Outcome>, fails = false): Promise<string> {
    const line = `${host.name}# ${argv.join(' ')}`;
    return this.#narrator.command(line, async () => {
      const outcome = await run();
      const said = `${outcome.stderr}${outcome.stdout}`.trimEnd();
      if (!fails) {
        expectSuccess(outcome);
        return said;
      }
      if (outcome.code !== 0) return `${said}\n(as it should be: it fails)`;
      throw new Error(`${line}\nshould fail, and did not\n${said}`);
    });
  }
}
