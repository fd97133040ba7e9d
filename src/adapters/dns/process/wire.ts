/**
 * Between agent and the process that answers names: lines of JSON over a unix socket. `hello` comes first, whatever
 * release speaks; what else there is goes by its protocol's number.
 */
import type { Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import type { NamesCounts } from '../../../core/dns/names-counts.ts';
import type { NamesNews, NamesRequest } from '../../../core/dns/names-protocol.ts';
import type { LogFields } from '../../../ports/runtime.ts';

/** How the program is started. */
export interface ProgramStart {
  readonly nodePath: string;
  /** Of Node.js itself. */
  readonly flags: readonly string[];
  readonly programPath: string;
  readonly arguments: readonly string[];
}

export type ControlRequest =
  /** Start this in your place, hand over all that you have, and end. */
  | { readonly kind: 'replace'; readonly program: ProgramStart }
  /** Close everything and end. */
  | { readonly kind: 'end' }
  /** Say what was counted since the start. */
  | { readonly kind: 'count' };

export type FromAgent =
  | { readonly news: NamesNews }
  | { readonly id: number; readonly request: NamesRequest | ControlRequest };

export type FromProcess =
  | { readonly hello: { readonly protocol: number; readonly build: string; readonly pid: number } }
  | {
      readonly id: number;
      readonly error?: { readonly code: string; readonly message: string };
      /** Where something was asked that has an answer. */
      readonly counts?: NamesCounts;
    }
  | { readonly log: { readonly level: LogLevel; readonly fields: LogFields; readonly message: string } };

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

export function writeLine(socket: Socket, message: FromAgent | FromProcess): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

/** What is no JSON ends the connection. */
export function readLines<T>(socket: Socket, onMessage: (message: T) => void): void {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  socket.on('data', (chunk: Buffer) => {
    const lines = (rest + decoder.write(chunk)).split('\n');
    rest = lines.pop()!;
    try {
      for (const line of lines) onMessage(JSON.parse(line));
    } catch (error) {
      socket.destroy(error as Error);
    }
  });
}
