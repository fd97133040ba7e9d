/**
 * Deletes links without waiting for the kernel to let go of them. It answers some 20 ms after a link has gone from the
 * namespace, or a whole group of links, and does not hold anybody else up meanwhile. So another thread waits for the answer,
 * and the links are looked for here.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isNetworkNamespace } from '../../core/plan/naming.ts';
import { deleteLink, deleteLinkGroup, setLink } from '../netlink/link.ts';
import type { Request } from '../netlink/message.ts';
import { NetlinkSocket, type Outcome } from '../netlink/socket.ts';
import { GONE } from './batch.ts';
import { pathOf } from './means.ts';
import type { PlainError } from './plain-error.ts';

/** Threads of libuv are few, and others need them. */
const AT_ONCE = 2;
const LOOK_AGAIN_MS = 1;

let running = 0;
const waiting: (() => void)[] = [];

/** Resolves when none of the links is there any more; with why not, by name, for those that stay. */
export async function removeLinks(place: string, names: readonly string[]): Promise<ReadonlyMap<string, PlainError>> {
  const socket = new NetlinkSocket({ namespace: pathOf(place) });
  const failures = new Map<string, PlainError>();
  const judge = (name: string, outcome: Outcome | undefined) => {
    if (outcome?.ok === false && !GONE.includes(outcome.code))
      failures.set(name, { code: outcome.code, message: outcome.text });
  };
  try {
    // The kernel waits as long for each link that is deleted by itself as for a whole group: several in a namespace of ours,
    // where nobody else has groups, go as one.
    if (names.length === 1 || !isNetworkNamespace(place)) {
      for (const name of names) judge(name, await remove(socket, place, deleteLink({ name }), [name]));
      return failures;
    }
    // Another one each time: a link that bears the mark of a deletion that was cut off must not go with the next one.
    const group = randomInt(1, 2 ** 31);
    const marks = socket.request(names.map((name) => setLink({ name }, { group })));
    for (const [at, name] of names.entries()) judge(name, marks[at]);
    const marked = names.filter((_, at) => marks[at]?.ok);
    if (marked.length === 0) return failures;
    const outcome = await remove(socket, place, deleteLinkGroup(group), marked);
    for (const name of marked) judge(name, outcome);
    return failures;
  } finally {
    socket.close();
  }
}

/** Undefined: the links are gone, and the answer is still to come. */
async function remove(
  socket: NetlinkSocket,
  place: string,
  request: Request,
  names: readonly string[],
): Promise<Outcome | undefined> {
  if (running >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  running += 1;
  const indexes = names.map((name) => socket.indexOf(name));
  let answer: Outcome | undefined;
  const answered = ask(place, request).then((outcome) => {
    answer = outcome;
  });
  const release = () => {
    running -= 1;
    waiting.shift()?.();
  };
  answered.then(release, release);
  for (;;) {
    await Promise.race([answered, sleep(LOOK_AGAIN_MS)]);
    if (answer) return answer;
    if (!indexes.some((index) => index !== undefined && socket.hasIndex(index))) return undefined;
  }
}

async function ask(place: string, request: Request): Promise<Outcome> {
  const worker = new NetlinkSocket({ namespace: pathOf(place) });
  try {
    return await worker.requestLater(request);
  } finally {
    worker.close();
  }
}
