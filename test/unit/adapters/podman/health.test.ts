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
  /** The kernel tells of one thing after the other. */
  let later = 0;
  make('a');
  make('after');
  const after = createPodmanHealth({ runRoot });
  after.follow(new Set(['after']), () => void later++);
  const untilTold = async () => {
    later = 0;
    write('after', '{}');
    await vi.waitFor(() => expect(later).toBeGreaterThan(0));
  };
  health.follow(new Set(['a', 'late']), () => void times++);
  writeFileSync(join(folderOf('a'), 'other'), '');
  await untilTold();
  expect(times).toBe(0);
  write('a', '{}');
  await vi.waitFor(() => expect(times).toBeGreaterThan(0));
  make('late');
  health.follow(new Set(['late']), () => void times++);
  await untilTold();
  times = 0;
  write('a', '{}');
  await untilTold();
  expect(times).toBe(0);
  write('late', '{}');
  await vi.waitFor(() => expect(times).toBeGreaterThan(0));
  after.follow(new Set(), () => {});
});
