import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { SocketListeners } from '../../../src/adapters/dns/listeners.ts';
import { until } from '../../lab/until.ts';
import { recordingLogger } from '../../unit/agent/cluster/cluster-fixture.ts';
import { NamespaceLab } from './lab.ts';

/** A container with two addresses beside a network's gateway. */
const lab = new NamespaceLab('fair');
const BUSY = '10.77.0.10';
const QUIET = '10.77.0.11';
const handled: string[] = [];
const listeners = new SocketListeners({
  logger: recordingLogger([]),
  handler: (_message, { address }) => {
    handled.push(address);
    return undefined;
  },
});

beforeAll(async () => {
  await lab.add('web', 'container');
  await lab.cable('web', 'port', '10.77.0.1/16', 'container', 'eth0', `${BUSY}/16`);
  await lab.ip('container', `addr add ${QUIET}/16 dev eth0`);
  await listeners.ensure({ networkId: 'w', namespacePath: lab.path('web'), addresses: ['10.77.0.1'] });
});
afterAll(async () => {
  await listeners.closeAll();
  await lab.close();
});

/** Asks so many questions from each address, in that order, while nothing is read here: they wait in the kernel. */
function ask(...questions: readonly (readonly [from: string, count: number])[]): void {
  const source = `
    const { createSocket } = require('node:dgram');
    (async () => {
      for (const [from, count] of ${JSON.stringify(questions)}) {
        const socket = createSocket('udp4');
        await new Promise((resolve) => socket.bind(0, from, resolve));
        for (let i = 0; i < count; i++) await new Promise((resolve) => socket.send('?', 53, '10.77.0.1', resolve));
        socket.close();
      }
    })();`;
  execFileSync('nsenter', [`--net=${lab.path('container')}`, process.execPath, '-e', source]);
}

test('who asks a few questions does not wait for all of one who asks many, of whom none is lost', async () => {
  ask([BUSY, 150], [QUIET, 5]);
  await until('all of them', () => handled.length === 155);
  expect(handled.lastIndexOf(QUIET)).toBeLessThan(110);
});

test('what two containers ask in a second and more while nothing is read, as over a hand-over, is all answered', async () => {
  const before = handled.length;
  ask([BUSY, 800], [QUIET, 700]);
  await until('all of them', () => handled.length + listeners.dropped - before === 1_500);
  expect(listeners.dropped).toBe(0);
});
