import { mkdtemp, rm } from 'node:fs/promises';
import { type OutgoingHttpHeaders, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { serveCalls } from '../../../../src/adapters/grpc/control-call-server.ts';
import { enveloped, STREAM_TYPE, UNARY_TYPE } from '../../../../src/adapters/grpc/control-method.ts';
import { ControlService } from '../../../../src/gen/overlayd/v1/control.ts';

let directory: string;
let path: string;
let close: () => Promise<void>;
let ran: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'overlayd-calls-'));
  path = join(directory, 'calls.sock');
  ran = [];
  ({ close } = await serveCalls(
    async (method) => {
      ran.push(method);
      return { networks: [] };
    },
    { path, mode: 0o600 },
  ));
});
afterEach(async () => {
  await close();
  await rm(directory, { recursive: true });
});

type Asked = 'listNetworks' | 'leaveCluster' | 'getNetwork';

function post(
  method: Asked,
  body: Uint8Array,
  headers: OutgoingHttpHeaders,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    request({ socketPath: path, path: ControlService[method].path, method: 'POST', headers }, async (response) => {
      const parts: Buffer[] = [];
      for await (const part of response) parts.push(part as Buffer);
      resolve({ status: response.statusCode!, text: Buffer.concat(parts).toString() });
    })
      .on('error', reject)
      .end(body);
  });
}

const NOTHING = new Uint8Array();

test.each<[string, Asked, Uint8Array, OutgoingHttpHeaders]>([
  ['JSON', 'listNetworks', Buffer.from('{}'), { 'Content-Type': 'application/json' }],
  ['no type', 'listNetworks', NOTHING, {}],
  ['a single message for a stream', 'leaveCluster', NOTHING, { 'Content-Type': UNARY_TYPE }],
  ['what is compressed', 'listNetworks', NOTHING, { 'Content-Type': UNARY_TYPE, 'Content-Encoding': 'gzip' }],
])('%s is not taken for an empty request', async (_, method, body, headers) => {
  expect((await post(method, body, headers)).status).toBe(415);
  expect(ran).toEqual([]);
});

test.each([
  ['no envelope', NOTHING],
  ['less than its envelope says', enveloped(Buffer.from('abc')).subarray(0, 6)],
  ['more than its envelope says', Buffer.concat([enveloped(NOTHING), Buffer.from('x')])],
  ['what is compressed', enveloped(NOTHING, 1)],
])('a stream is not begun by %s', async (_, body) => {
  const { text } = await post('leaveCluster', body, { 'Content-Type': STREAM_TYPE });
  expect(text).toContain('"code":"invalid-argument"');
  expect(ran).toEqual([]);
});

test('bytes that are no message are the mistake of who sent them', async () => {
  const { status, text } = await post('getNetwork', Buffer.from([0x0a, 0x7f]), { 'Content-Type': UNARY_TYPE });
  expect([status, JSON.parse(text)]).toMatchObject([400, { code: 'invalid_argument' }]);
  expect(ran).toEqual([]);
});

test('what is whole is carried out', async () => {
  expect((await post('listNetworks', NOTHING, { 'Content-Type': UNARY_TYPE })).status).toBe(200);
  const { text } = await post('leaveCluster', enveloped(NOTHING), { 'Content-Type': STREAM_TYPE });
  expect(text.slice(5)).toBe('{}');
  expect(ran).toEqual(['listNetworks', 'leaveCluster']);
});
