/** `ui`: the cluster as a page in a browser. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { formatHostPort, parseHostPort } from '../../core/host-port.ts';
import { formatIp, parseIp } from '../../core/ip.ts';
import { collect } from '../argument.ts';
import { UsageError } from '../exit.ts';
import type { Session } from '../session.ts';

export type Listen = { readonly path: string } | { readonly host: string; readonly port: number };

interface UiCommandOptions {
  readonly listen: Listen;
  readonly name?: readonly string[];
  readonly write?: boolean;
  readonly login: boolean;
}

const PORT = 7980;

export function addUiCommand(program: Command, session: Session): void {
  program
    .command('ui')
    .description('Show the cluster as a page in a browser: hosts, networks, endpoints, what reaches what')
    .addOption(
      new Option('--listen <address>', 'where to serve it: IP:PORT, or unix:PATH')
        .argParser(parseListen)
        .default({ host: '127.0.0.1', port: PORT } satisfies Listen, `127.0.0.1:${PORT}`),
    )
    .option(
      '--name <name>',
      'a name under which browsers open it; addresses and localhost need none',
      collect(parseName),
    )
    .option('--write', 'let the page repair; without, it reads only')
    .option('--no-login', 'on loopback: let everybody on this host look, without the link')
    .addHelpText(
      'after',
      `
Runs until it is interrupted, and asks the agent of this host, as every command does. Whoever opens the link sees all
networks, endpoints and hosts. A link works once and then prints the next one; a Unix socket needs none, for its owner alone
may open it. Off loopback the page is plain HTTP: better a tunnel than a network that others read.

Examples:
  overlayd ui
  overlayd ui --listen unix:/run/overlayd/ui.sock
  laptop$ ssh -L ${PORT}:/run/overlayd/ui.sock root@192.0.2.1       then open http://localhost:${PORT}`,
    )
    .action(async ({ listen, name: names = [], write = false, login }: UiCommandOptions) => {
      const isLoopback = 'host' in listen && /^(127\.|::1$)/.test(listen.host);
      if (!login && !isLoopback) throw new UsageError('--no-login is for loopback alone: others reach that address');
      // Where nothing answers, the page would have nothing to show.
      await session.ask('waiting for the agent', (client) => client.getStatus({}));
      await session.surroundings.runUi({
        ...{ socketPath: await session.socketPath(), listen, names, write },
        login: login && 'host' in listen,
        print: (line) => session.print(line),
      });
    });
}

function parseListen(text: string): Listen {
  if (/^unix:\/.*[^/]$/.test(text)) return { path: text.slice('unix:'.length) };
  const { host = '', port = PORT } = parseHostPort(text) ?? {};
  const ip = parseIp(host);
  if (ip) return { host: formatIp(ip), port };
  throw new InvalidArgumentError(
    `Write an address of this host with a port, like ${formatHostPort('127.0.0.1', PORT)}, or unix:/run/overlayd/ui.sock.`,
  );
}

function parseName(text: string): string {
  if (/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/i.test(text)) return text.toLowerCase();
  throw new InvalidArgumentError('Write the name alone, without http:// and port, like overlay.example.');
}
