/** What went wrong with the bundled etcd, in words with what to do. */
import { OverlaydError } from '../../core/errors.ts';
import { parseHostPort } from '../../core/host-port.ts';
import { findPortOwner } from '../port-owner.ts';
import { logPath, readLogTail } from './server-process.ts';

/** `what` happened, and what its log says of that. */
export async function explainEnd(directory: string, what: string, cause: unknown): Promise<OverlaydError> {
  const tail = await readLogTail(directory, 5);
  const bind = /listen tcp (\S+): bind: (address already in use|cannot assign requested address)/.exec(tail);
  const address = bind?.[1] ?? '';
  const options = { cause, retryable: true };
  if (bind?.[2] === 'address already in use') {
    const owner = await findPortOwner('tcp', parseHostPort(address)?.port ?? 0);
    const who = typeof owner === 'object' ? owner.process : 'another process';
    const hint =
      'use it with --etcd URL, or, if nothing else needs it, stop it (for the one of Debian: `systemctl disable --now etcd`)';
    return new OverlaydError('store-failed', `etcd cannot listen on ${address}: ${who} does already; ${hint}`, options);
  }
  if (bind !== null) {
    const message = `etcd cannot listen on ${address}: no interface of this host has that address; check --advertise-addr`;
    return new OverlaydError('store-failed', message, options);
  }
  return new OverlaydError('store-failed', `${what}; the end of ${logPath(directory)}:\n${tail}`, options);
}

/** It runs, and may serve later without anybody's doing. */
export function notReady(directory: string, seconds: number, { message }: Error): OverlaydError {
  return new OverlaydError(
    'store-unavailable',
    `etcd of this host runs, but did not get ready within ${seconds} s (${message}): it waits for the majority of the store's members, or reads a long log; it goes on, see ${logPath(directory)}`,
    { cause: message, retryable: true },
  );
}

export function givenUp(): OverlaydError {
  const message = 'etcd of this host is not waited for any more: it is being stopped';
  return new OverlaydError('store-unavailable', message, { retryable: true });
}

export function dataGone(directory: string): OverlaydError {
  return new OverlaydError(
    'store-failed',
    `the data of this host's etcd are gone (${directory}/data), and an empty store must not take their place; put them back, or restore the store: docs/operations.md#back-up-restore-and-move-the-store`,
    { retryable: true },
  );
}

export function memberRemoved(aside: string): OverlaydError {
  return new OverlaydError(
    'store-removed',
    `this host keeps the store no more: its etcd was removed from the store's members; its data were set aside in ${aside}`,
  );
}
