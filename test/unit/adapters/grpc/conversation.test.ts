import { credentials, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { afterEach, expect, test } from 'vitest';
import { Conversation } from '../../../../src/adapters/grpc/conversation.ts';
import type { GossipMessage } from '../../../../src/core/gossip/message.ts';
import { type Answer, GossipClient, GossipService, type Question } from '../../../../src/gen/overlayd/v1/gossip.ts';

const opened: (() => void)[] = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** Of 64 KB: what is between two ends holds few. */
const QUESTION: GossipMessage = {
  from: 'a',
  members: [],
  delta: { from: 0, to: 0, records: [{ key: 'k', revision: 1, value: 'x'.repeat(64 * 1024) }] },
};

async function converse(answer: (stream: ServerDuplexStream<Question, Answer>) => void) {
  const server = new Server();
  server.addService(GossipService, { converse: answer });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
    error ? reject(error) : resolve(port),
  );
  const client = new GossipClient(`127.0.0.1:${await promise}`, credentials.createInsecure());
  opened.push(() => {
    client.close();
    server.forceShutdown();
  });
  return new Conversation(client.converse());
}

test('what an end does not read is not kept for it: the conversation is given up', async () => {
  const conversation = await converse(() => undefined);
  const outcomes = await Promise.all(Array.from({ length: 200 }, () => conversation.ask(QUESTION, 200)));
  expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(['late']));
  expect(conversation.isOver).toBe(true);
});

test('an end that reads, and is slow to answer, is asked on', async () => {
  let read = 0;
  const conversation = await converse((stream) => {
    stream.on('data', ({ number, message }: Question) => {
      if (++read > 201) stream.write({ number, content: { $case: 'message', value: message! } });
    });
  });
  for (let nth = 0; nth < 200; nth++) void conversation.ask(QUESTION, 3_600_000);
  await expect.poll(() => read).toBe(200);
  expect((await conversation.ask(QUESTION, 50)).kind).toBe('late');
  expect(conversation.isOver).toBe(false);
  expect((await conversation.ask(QUESTION, 60_000)).kind).toBe('message');
  conversation.end();
});
