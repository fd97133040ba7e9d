import { describe, expect, it } from 'vitest';
import { memoryFiles, run } from './fake-agent.ts';

const OWN = "my $socket = '/run/overlayd/plugins.sock'; # the overlayd agent";

describe('cni install', () => {
  it('puts the program where runtimes look for it, and a configuration for each network', async () => {
    const files = new Map<string, string>();
    const args = ['cni', 'install', '--bin-dir', '/opt/cni/bin', '--bin-dir', '/usr/lib/cni', '--network', 'web'];
    const { code, out } = await run(args, { surroundings: { files: memoryFiles(files) } });
    expect(code).toBe(0);
    expect(out.trim().split('\n')).toEqual([
      '/opt/cni/bin/overlayd',
      '/usr/lib/cni/overlayd',
      '/etc/cni/net.d/87-overlayd-web.conflist',
    ]);
    expect(files.get('/opt/cni/bin/overlayd')).toBe(OWN);
    expect(JSON.parse(files.get('/etc/cni/net.d/87-overlayd-web.conflist')!)).toEqual({
      cniVersion: '1.0.0',
      name: 'web',
      plugins: [
        {
          ...{ type: 'overlayd', network: 'web' },
          capabilities: { ips: true, mac: true, aliases: true, dns: true, portMappings: true },
        },
      ],
    });
  });

  it('names the socket of the agent that the command calls', async () => {
    const files = new Map<string, string>();
    await run(['--run-dir', '/run/second', 'cni', 'install'], { surroundings: { files: memoryFiles(files) } });
    expect(files.get('/opt/cni/bin/overlayd')).toContain("'/run/second/plugins.sock'");
  });

  it('prints what it would write, and writes nothing', async () => {
    const files = new Map<string, string>();
    const args = ['cni', 'install', '--network', 'web', '--portmap', '--print'];
    const { code, out } = await run(args, { surroundings: { files: memoryFiles(files) } });
    expect({ code, files: files.size }).toEqual({ code: 0, files: 0 });
    const [own, portmap] = JSON.parse(out).plugins;
    expect(portmap).toEqual({ type: 'portmap', capabilities: { portMappings: true } });
    expect(own.capabilities).not.toHaveProperty('portMappings');
  });

  it('leaves a program of the same name alone', async () => {
    const files = new Map([['/opt/cni/bin/overlayd', '#!/bin/sh']]);
    const { code, error } = await run(['cni', 'install'], { surroundings: { files: memoryFiles(files) } });
    expect({ code, text: files.get('/opt/cni/bin/overlayd') }).toEqual({ code: 1, text: '#!/bin/sh' });
    expect(error).toContain('/opt/cni/bin/overlayd is another program; move it away, or choose another --bin-dir');
  });
});

describe('cni uninstall', () => {
  it('takes away what install has put there, and nothing else', async () => {
    const files = new Map([
      ['/opt/cni/bin/overlayd', OWN],
      ['/opt/cni/bin/bridge', 'x'],
      ['/etc/cni/net.d/87-overlayd-web.conflist', '{}'],
      ['/etc/cni/net.d/10-web.conflist', '{}'],
    ]);
    const { code, out } = await run(['cni', 'uninstall'], { surroundings: { files: memoryFiles(files) } });
    expect({ code, out: out.trim().split('\n') }).toEqual({
      code: 0,
      out: ['/etc/cni/net.d/87-overlayd-web.conflist', '/opt/cni/bin/overlayd'],
    });
    expect([...files.keys()]).toEqual(['/opt/cni/bin/bridge', '/etc/cni/net.d/10-web.conflist']);
  });

  it('says when there is nothing', async () => {
    const { code, error } = await run(['cni', 'uninstall']);
    expect(code).toBe(1);
    expect(error).toContain('nothing of overlayd is in /opt/cni/bin, /etc/cni/net.d');
  });
});
