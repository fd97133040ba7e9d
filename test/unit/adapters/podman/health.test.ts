import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createPodmanHealth } from '../../../../src/adapters/podman/health.ts';
import type { PodmanHealth } from '../../../../src/ports/podman.ts';

let runRoot: string;
let health: PodmanHealth;

beforeEach(() => {
  runRoot = mkdtempSync(join(tmpdir(), 'overlayd-health-'));
  health = createPodmanHealth({ runRoot });
});
afterEach(() => {
  health.follow(new Set(), () => {});
  rmSync(runRoot, { recursive: true });
});

const folderOf = (id: string) => join(runRoot, 'overlay-containers', id);
const make = (id: string) => mkdirSync(join(folderOf(id), 'userdata'), { recursive: true });
const write = (id: string, text: string) => writeFileSync(join(folderOf(id), 'healthcheck.log'), text);

it('tells who is unhealthy, takes no check for well, and half a word for nothing', async () => {
  for (const id of ['a', 'b', 'c', 'd']) make(id);
  write('a', '{"Status":"unhealthy","FailingStreak":3,"Log":[]}');
  write('b', '{"Status":"healthy","FailingStreak":1,"Log":[]}');
  write('c', '{"Status":"unhea');
  expect(Object.fromEntries(await health.unhealthy(['a', 'b', 'c', 'd', 'nobody']))).toEqual({
    ...{ a: true, b: false, d: false, nobody: false },
  });
});

it('is told when a check of one has ended, of no other, and of one that comes later', async () => {
  let times = 0;
  const told = () => void times++;
  make('a');
  health.follow(new Set(['a', 'late']), told);
  writeFileSync(join(folderOf('a'), 'other'), '');
  write('a', '{}');
  await vi.waitFor(() => expect(times).toBeGreaterThan(0));
  make('late');
  health.follow(new Set(['late']), told);
  times = 0;
  write('a', '{}');
  write('late', '{}');
  await vi.waitFor(() => expect(times).toBeGreaterThan(0));
});
