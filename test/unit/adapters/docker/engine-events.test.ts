import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEngine } from '../../../../src/adapters/docker/engine.ts';
import type { EngineEvent } from '../../../../src/core/engine/engine.ts';

import { until } from '../../../lab/until.ts';
import { VirtualClock } from '../../../sim/virtual-clock.ts';
import { type EnginePlayer, playEngine, VERSION } from './engine-player.ts';

let directory: string;
let socketPath: string;
let clock: VirtualClock;
let quit: AbortController;
const players: EnginePlayer[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlayd-events-'));
  socketPath = join(directory, 'docker.sock');
  clock = new VirtualClock();
  quit = new AbortController();
});

afterEach(async () => {
  quit.abort();
  await Promise.all(players.splice(0).map((player) => player.end()));
  rmSync(directory, { recursive: true });
});

async function start(...script: Parameters<typeof playEngine>[1][]): Promise<EnginePlayer> {
  const player = await playEngine(socketPath, script[0]);
  players.push(player);
  return player;
}

function listen(limitMs = 10_000) {
  const events = createEngine({ clock }, { socketPath, limitMs }).events(quit.signal)[Symbol.asyncIterator]();
  return { next: async () => (await events.next()).value as EngineEvent, events };
}

const CONNECTED = { kind: 'connected', version: '20.10.24' };
const container = (Action: string, ID: string) => ({
  Type: 'container',
  Action,
  Actor: { ID, Attributes: { name: 'x' } },
});
const network = (Action: string, ID: string, attributes?: object) => ({
  Type: 'network',
  Action,
  Actor: { ID, Attributes: { name: 'web', type: 'overlayd', ...attributes } },
});
const line = (event: object) => `${JSON.stringify({ ...event, scope: 'local', time: 1, timeNano: 1_000_000_001 })}\n`;

describe("the engine's events", () => {
  it('are asked for before the engine is said to be connected, and only those that matter', async () => {
    const player = await start();
    const { next } = listen();
    expect(await next()).toEqual(CONNECTED);
    expect(player.streams.length).toBe(1);
    const query = new URLSearchParams(player.calls.at(-1)?.path.split('?')[1]);
    expect(JSON.parse(query.get('filters') ?? '')).toEqual({
      type: ['network', 'container'],
      event: ['create', 'destroy', 'connect', 'disconnect', 'start', 'rename', 'die', 'health_status'],
    });
  });

  it('are told as the agent knows them', async () => {
    const player = await start();
    const { next } = listen();
    await next();
    const told = [
      network('create', 'n'),
      network('connect', 'n', { container: 'c' }),
      container('create', 'c'),
      container('start', 'c'),
      container('exec_start: true', 'c'),
      container('rename', 'c'),
      container('health_status: unhealthy', 'c'),
      container('die', 'c'),
      network('disconnect', 'n', { container: 'c' }),
      container('destroy', 'c'),
      { Type: 'image', Action: 'pull', Actor: { ID: 'i' } },
      network('destroy', 'n'),
    ];
    player.streams[0]?.write(told.map(line).join(''));
    const expected = [
      { kind: 'network', action: 'create', id: 'n' },
      { kind: 'container', action: 'connect', id: 'c', networkId: 'n' },
      ...['create', 'start', 'rename', 'health', 'die'].map((action) => ({ kind: 'container', action, id: 'c' })),
      { kind: 'container', action: 'disconnect', id: 'c', networkId: 'n' },
      { kind: 'container', action: 'destroy', id: 'c' },
      { kind: 'network', action: 'destroy', id: 'n' },
    ];
    for (const event of expected) expect(await next()).toEqual(event);
  });

  it('may come in pieces, in the middle of a letter too', async () => {
    const player = await start();
    const { next } = listen();
    await next();
    const bytes = Buffer.from(line(container('start', 'zoë')) + line(container('die', 'b')));
    const split = bytes.indexOf('ë') + 1;
    player.streams[0]?.write(bytes.subarray(0, split));
    player.streams[0]?.write(bytes.subarray(split));
    expect(await next()).toEqual({ kind: 'container', action: 'start', id: 'zoë' });
    expect(await next()).toEqual({ kind: 'container', action: 'die', id: 'b' });
  });

  it('end with the signal', async () => {
    await start();
    const { next, events } = listen();
    await next();
    const rest = events.next();
    quit.abort();
    expect((await rest).done).toBe(true);
  });
});

describe('an engine that ends', () => {
  it('in the middle of a line, is unreachable once, and connected when it is back', async () => {
    const first = await start();
    const { next } = listen();
    await next();
    first.streams[0]?.write(line(container('start', 'a')) + line(container('die', 'a')).slice(0, 20));
    expect(await next()).toEqual({ kind: 'container', action: 'start', id: 'a' });
    const outage = next();
    await first.end();
    expect(await outage).toMatchObject({ kind: 'unreachable' });

    // Several attempts fail, of which nothing is said.
    const back = next();
    await clock.advance(60_000);
    const second = await start();
    await until('the next attempt', async () => {
      await clock.advance(5_000);
      return second.streams.length > 0;
    });
    expect(await back).toEqual(CONNECTED);
    const again = next();
    await second.end();
    expect(await again).toMatchObject({ kind: 'unreachable' });
  });

  it('is found as soon as its socket is there again, without waiting', async () => {
    const { next } = listen();
    expect(await next()).toMatchObject({ kind: 'unreachable', reason: expect.stringContaining(socketPath) });
    const back = next();
    // No time passes: only the directory can tell. It is watched once the wait has begun.
    await clock.advance(0);
    await start();
    expect(await back).toEqual(CONNECTED);
  });

  it('whose directory is not there yet is asked again after a while', async () => {
    socketPath = join(directory, 'later/docker.sock');
    const { next } = listen();
    expect(await next()).toMatchObject({ kind: 'unreachable' });
    const back = next();
    const player = await start();
    await until('the next attempt', async () => {
      await clock.advance(5_000);
      return player.streams.length > 0;
    });
    expect(await back).toEqual(CONNECTED);
  });

  it('and breaks its stream with nonsense is listened to anew', async () => {
    const player = await start();
    const { next } = listen();
    await next();
    player.streams[0]?.write('{"Type":\n');
    expect(await next()).toMatchObject({ kind: 'unreachable' });
    const back = next();
    await until('the next attempt', async () => {
      await clock.advance(5_000);
      return player.streams.length > 1;
    });
    expect(await back).toEqual(CONNECTED);
  });
});

describe('an engine that hangs', () => {
  it.each(['/version', '/events'])('at %s is unreachable', async (hanging) => {
    let hangs = true;
    await start(({ path }) => (hangs && path.startsWith(hanging) ? undefined : { status: 404 }));
    const { next } = listen(30);
    expect(await next()).toMatchObject({ kind: 'unreachable', reason: expect.stringContaining('did not answer') });
    hangs = false;
    const back = next();
    await until('the next attempt', async () => {
      await clock.advance(5_000);
      return Promise.race([back, undefined]);
    });
    expect(await back).toEqual(CONNECTED);
  });

  it('tells its new version when it was replaced', async () => {
    const first = await start();
    const { next } = listen();
    await next();
    const outage = next();
    await first.end();
    await outage;
    const back = next();
    await clock.advance(0);
    await start(({ path }) =>
      path === '/version' ? { status: 200, body: { ...VERSION, Version: '29.0.0' } } : { status: 404 },
    );
    await until('the next attempt', async () => {
      await clock.advance(5_000);
      return Promise.race([back, undefined]);
    });
    expect(await back).toEqual({ kind: 'connected', version: '29.0.0' });
  });
});
