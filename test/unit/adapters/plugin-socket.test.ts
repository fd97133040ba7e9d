import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listenOn } from '../../../src/adapters/plugin-socket.ts';

const SETTING = { mode: 0o660, option: '--docker-plugin-socket' };

let directory: string;
let path: string;
const servers: Server[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'overlayd-socket-'));
  path = join(directory, 'docker/plugins/overlayd.sock');
});

afterEach(async () => {
  await Promise.all(servers.splice(0).map(close));
  rmSync(directory, { recursive: true });
});

function makeServer(): Server {
  const server = createServer((socket) => socket.end());
  servers.push(server);
  return server;
}

async function close(server: Server): Promise<void> {
  await new Promise((resolve) => server.close(resolve));
}

/** Another program's socket, in a directory that is there. */
async function occupy(where: string): Promise<Server> {
  mkdirSync(dirname(where), { recursive: true });
  const server = makeServer();
  await new Promise<void>((resolve) => server.listen(where, resolve));
  return server;
}

function answers(where: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(where, () => resolve(true));
    socket.on('error', () => resolve(false)).on('connect', () => socket.destroy());
  });
}

describe('a socket of our own', () => {
  it('is made with its directory, for its owner and group alone, and removed in the end', async () => {
    const server = makeServer();
    const remove = await listenOn(server, { path }, SETTING);
    expect(await answers(path)).toBe(true);
    expect((statSync(path).mode & 0o777).toString(8)).toBe('660');
    expect(readdirSync(dirname(path))).toEqual(['overlayd.sock']);
    await close(server);
    await remove();
    expect(readdirSync(dirname(path))).toEqual([]);
  });

  it('replaces the one that a crash left behind', async () => {
    const dead = await occupy(join(directory, 'docker/plugins/dead'));
    // Ending a server removes the file that it made, under its name of then.
    renameSync(join(directory, 'docker/plugins/dead'), path);
    await close(dead);
    expect(await answers(path)).toBe(false);
    await listenOn(makeServer(), { path }, SETTING);
    expect(await answers(path)).toBe(true);
  });

  it('does not take the place of one on which somebody answers', async () => {
    await occupy(path);
    await expect(listenOn(makeServer(), { path }, SETTING)).rejects.toMatchObject({ code: 'conflict' });
    const page = { mode: 0o600, option: '--listen', endOther: 'end the other one' };
    await expect(listenOn(makeServer(), { path }, page)).rejects.toMatchObject({
      message: `another program listens on ${path}; end the other one, or set --listen`,
    });
  });

  it('does not take the place of a file', async () => {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, 'precious');
    await expect(listenOn(makeServer(), { path }, SETTING)).rejects.toMatchObject({ code: 'config-invalid' });
    expect(statSync(path).size).toBe(8);
  });

  it('cannot be where there is no way to make a directory', async () => {
    writeFileSync(join(directory, 'docker'), '');
    await expect(listenOn(makeServer(), { path }, SETTING)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('--docker-plugin-socket'),
    });
  });

  it('leaves the one of a successor alone', async () => {
    const server = makeServer();
    const remove = await listenOn(server, { path }, SETTING);
    rmSync(path);
    await occupy(path);
    await close(server);
    await remove();
    expect(existsSync(path)).toBe(true);
    expect(await answers(path)).toBe(true);
  });
});

describe('a socket of the service manager', () => {
  it('that is no socket is refused in words', async () => {
    const fd = 0x7fff;
    await expect(listenOn(makeServer(), { fd }, SETTING)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('overlayd.socket'),
    });
  });
});
