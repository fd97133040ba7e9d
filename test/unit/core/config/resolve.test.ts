import { describe, expect, it } from 'vitest';
import { parseAgentFlags } from '../../../../src/core/config/flags.ts';
import { fileKeyOf, flagOf, OPTIONS, optionRows, variableOf } from '../../../../src/core/config/option.ts';
import { resolveConfig } from '../../../../src/core/config/resolve.ts';

function resolve(args: string[], environment: Record<string, string> = {}, values?: Record<string, unknown>) {
  return resolveConfig({
    flags: parseAgentFlags(args).values,
    environment,
    file: values && { path: '/etc/o.toml', values },
  });
}

describe('precedence', () => {
  it('is flags, environment, file, defaults', () => {
    const environment = { OVERLAYD_DATA_DIR: '/env' };
    const file = { data_dir: '/file' };
    expect(resolve(['--data-dir', '/flag'], environment, file).config.dataDir).toBe('/flag');
    expect(resolve([], environment, file).config.dataDir).toBe('/env');
    expect(resolve([], {}, file).config.dataDir).toBe('/file');
    expect(resolve([]).config.dataDir).toBe('/var/lib/overlayd');
  });

  it('holds for each option on its own', () => {
    const { config, problems } = resolve(['--dns-ttl=2s'], { OVERLAYD_LEASE_TTL: '1m' }, { gossip_port: 7000 });
    expect(problems).toEqual([]);
    expect(config).toMatchObject({ dnsTtlSeconds: 2, leaseTtlSeconds: 60, gossipPort: 7000, joinPort: 2377 });
  });

  it('every option can be given in all three ways', () => {
    for (const [key, { name, kind, fallback }] of optionRows()) {
      const text = kind.format(fallback);
      expect(resolve([flagOf(name), text]), key).toMatchObject({ problems: [], config: { [key]: fallback } });
      expect(resolve([], { [variableOf(name)]: text }), key).toMatchObject({ problems: [] });
      const value = kind.numeric ? Number(text) : text;
      expect(resolve([], {}, { [fileKeyOf(name)]: value }), key).toMatchObject({ problems: [] });
    }
  });
});

describe('problems', () => {
  it('are all reported at once, wherever they are', () => {
    const { problems } = resolve(
      ['--data-dir', 'var', '--log-level', 'verbose'],
      { OVERLAYD_JOIN_PORT: '70000', OVERLAYD_DATADIR: '/x' },
      {
        lease_ttl: 10,
        quarantine: '5 minutes',
        dns_ttl: '2d',
        gossip_interval: '1ms',
        audit_intervall: '1s',
        run_dir: ['/run'],
      },
    );
    expect(problems).toEqual([
      'unknown variable OVERLAYD_DATADIR in the environment; did you mean OVERLAYD_DATA_DIR?',
      '/etc/o.toml: unknown key audit_intervall; did you mean audit_interval?',
      '--data-dir: "var" is not an absolute path, like /var/lib/overlayd',
      '/etc/o.toml: run_dir: <array> must be a string',
      '--log-level: "verbose" is not one of error, warn, info, debug',
      'OVERLAYD_JOIN_PORT: "70000" is not a port, a whole number from 1 to 65535',
      '/etc/o.toml: lease_ttl: "10" must be a string, like "10s"',
      '/etc/o.toml: quarantine: "5 minutes" is not a duration; write it like 500ms, 30s or 1h30m',
      '/etc/o.toml: dns_ttl: "2d" is out of range: 0 to 1d',
      '/etc/o.toml: gossip_interval: "1ms" is out of range: 50ms to 1m',
    ]);
  });

  it('are parts of a second where whole ones are counted', () => {
    expect(resolve(['--quarantine', '1500ms']).problems).toEqual(['--quarantine: "1500ms" is not in whole seconds']);
  });

  it('of a value that a stronger one hides are reported too', () => {
    const { config, problems } = resolve(['--join-port', '2400'], {}, { join_port: 0 });
    expect(config.joinPort).toBe(2400);
    expect(problems).toEqual(['/etc/o.toml: join_port: "0" is not a port, a whole number from 1 to 65535']);
  });

  it('are ports that clash', () => {
    expect(resolve(['--join-port', '7946']).problems).toEqual([
      'join-port and gossip-port are both 7946, they cannot share one TCP port',
    ]);
  });

  it('are no variables of other programs', () => {
    expect(resolve([], { PATH: '/bin', OVERLAYD_CONFIG: '/x' }).problems).toEqual([]);
  });
});

describe('where metrics are read', () => {
  const placeOf = (text: string) => {
    const { config, problems } = resolve(['--metrics-listen', text]);
    return problems[0] ?? config.metricsListen;
  };

  it('is a Unix socket, a port of the loopback, or nowhere', () => {
    expect(resolve([]).config.metricsListen).toEqual({ kind: 'run-dir' });
    expect(placeOf('socket')).toEqual({ kind: 'run-dir' });
    expect(placeOf('off')).toEqual({ kind: 'off' });
    expect(placeOf('unix:/run/x.sock')).toEqual({ kind: 'unix', path: '/run/x.sock' });
    expect(placeOf('127.0.0.1:7947')).toEqual({ kind: 'tcp', address: '127.0.0.1', port: 7947 });
    expect(placeOf('127.1.2.3:80')).toEqual({ kind: 'tcp', address: '127.1.2.3', port: 80 });
    expect(placeOf('[::1]:7947')).toEqual({ kind: 'tcp', address: '::1', port: 7947 });
  });

  it.each(['192.0.2.1:7947', '0.0.0.0:7947', '[::]:7947', '[2001:db8::1]:7947', '[::ffff:127.0.0.1]:7947'])(
    'is not %s, which others reach, or may',
    (text) => {
      expect(placeOf(text)).toMatch(/is no loopback address: .*use 127\.0\.0\.1 and a proxy that asks$/);
    },
  );

  it.each(['7947', 'localhost:7947', '127.0.0.1', '127.0.0.1:0', 'on'])('is not %s either', (text) => {
    expect(placeOf(text)).toMatch(/is none of off, socket, unix:PATH, 127\.0\.0\.1:PORT$/);
  });

  it('is at an absolute path', () => {
    expect(placeOf('unix:x.sock')).toMatch(/names no absolute path$/);
  });
});

it('traces go to a host and a port', () => {
  const tracesOf = (text: string) => resolve(['--traces', text]);
  expect(resolve([]).config.traces).toBeUndefined();
  expect(tracesOf('http://127.0.0.1:4318').config.traces).toBe('http://127.0.0.1:4318');
  expect(tracesOf('https://collector.example:4318/').config.traces).toBe('https://collector.example:4318');
  expect(tracesOf('http://127.0.0.1:4318/v1/traces').problems[0]).toMatch(/is no URL of a host and a port/);
  expect(tracesOf('127.0.0.1:4318').problems[0]).toMatch(/is no URL of a host and a port/);
});

describe('the agent’s flags', () => {
  it('are read in both forms, the last one wins', () => {
    const { values, problems, help } = parseAgentFlags(['--data-dir=/a', '--data-dir', '/b', '--config', '/c']);
    expect([...values]).toEqual([
      ['--data-dir', '/b'],
      ['--config', '/c'],
    ]);
    expect([problems, help]).toEqual([[], false]);
  });

  it('are refused with what is wrong', () => {
    expect(parseAgentFlags(['--datadir', '--log-level', '--join-port', 'now']).problems).toEqual([
      'unknown option --datadir; did you mean --data-dir?',
      'option --log-level needs a value',
    ]);
    expect(parseAgentFlags(['start']).problems).toEqual(['unexpected argument "start": the agent takes options only']);
  });

  it('ask for help', () => {
    expect(parseAgentFlags(['-h']).help).toBe(true);
  });
});

it('the defaults fit their own limits', () => {
  for (const { kind, fallback } of Object.values(OPTIONS) as never as ReturnType<typeof optionRows>[number][1][]) {
    expect(kind.parse(kind.format(fallback))).toEqual({ value: fallback });
  }
});
