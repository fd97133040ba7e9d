import { expect, it } from 'vitest';
import { knowingSockets } from '../../../../src/agent/names/held-sockets.ts';
import type { NamesRequest } from '../../../../src/core/dns/names-protocol.ts';

function setUp(isNew: boolean) {
  const asked: string[] = [];
  const refused = new Set<string>();
  const session = knowingSockets({
    isNew,
    ended: new AbortController().signal,
    tell: () => undefined,
    async ask(request) {
      asked.push(request.kind);
      if (refused.has(request.kind)) throw new Error('refused');
    },
  });
  const listen: NamesRequest = {
    kind: 'listen',
    networkId: 'w',
    namespacePath: '/run/netns/w',
    addresses: ['10.0.0.1'],
  };
  return {
    asked,
    refused,
    listen: () => session.ask(listen),
    close: () => session.ask({ kind: 'close', networkId: 'w' }),
    release: (namespacePath?: string) => session.ask({ kind: 'release', networkId: 'w', namespacePath }),
  };
}

it('asks a new process to let go of what it was asked for alone', async () => {
  const { asked, listen, close, release } = setUp(true);
  await release();
  expect(asked).toEqual([]);
  await release('/run/netns/w');
  expect(asked.splice(0)).toEqual(['release']);
  await listen();
  await release();
  await release();
  expect(asked).toEqual(['listen', 'release']);
  await listen();
  await close();
  await release();
  expect(asked).toEqual(['listen', 'release', 'listen', 'close']);
});

it('asks again where that was refused, or where it listens again meanwhile', async () => {
  const { asked, refused, listen, close, release } = setUp(true);
  await listen();
  refused.add('close');
  await expect(close()).rejects.toThrow('refused');
  await release();
  refused.add('listen');
  await expect(listen()).rejects.toThrow('refused');
  refused.clear();
  await release();
  expect(asked).toEqual(['listen', 'close', 'release', 'listen', 'release']);
  asked.length = 0;
  await Promise.all([listen(), close(), listen()]);
  await release();
  expect(asked).toEqual(['listen', 'close', 'listen', 'release']);
});

it('asks one that was there before in any case', async () => {
  const { asked, release } = setUp(false);
  await release();
  expect(asked).toEqual(['release']);
});
