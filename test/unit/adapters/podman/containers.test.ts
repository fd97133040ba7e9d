import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createPodmanContainers } from '../../../../src/adapters/podman/containers.ts';
import type { PodmanContainers } from '../../../../src/ports/podman.ts';

let root: string;
let containers: PodmanContainers;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'overlayd-podman-'));
  containers = createPodmanContainers({ graphRoot: join(root, 'graph'), runRoot: join(root, 'run') });
});
afterEach(() => rmSync(root, { recursive: true }));

function write(where: 'graph' | 'run', file: string, text: string): void {
  mkdirSync(join(root, where, 'overlay-containers'), { recursive: true });
  writeFileSync(join(root, where, 'overlay-containers', file), text);
}

it('reads the names of all containers, those too that go when they end', async () => {
  expect(await containers.names()).toEqual(new Map());
  write('graph', 'containers.json', JSON.stringify([{ id: 'c1', names: ['api'], metadata: '{"name":"former"}' }]));
  write('run', 'volatile-containers.json', JSON.stringify([{ id: 'c2', names: ['shop'] }]));
  expect(Object.fromEntries(await containers.names())).toEqual({ c1: 'api', c2: 'shop' });
});

it('has another stamp when a list was written, and takes one that is not whole for none', async () => {
  const before = await containers.stamp();
  write('graph', 'containers.json', '[{"id": "c1", "na');
  expect(await containers.stamp()).not.toBe(before);
  expect(await containers.names()).toEqual(new Map());
});

it('finds who lives in a namespace', async () => {
  const own = '/proc/self/ns/net';
  expect(await containers.deserted([own, join(root, 'nothing')])).toEqual(new Set());
  // Of another kind: no process has it as its network's.
  const nobody = '/proc/self/ns/uts';
  expect(await containers.deserted([own, nobody])).toEqual(new Set([nobody]));
});
