import { describe, expect, it } from 'vitest';
import { OverlaydError } from '../../../src/core/errors.ts';
import { NETWORK_ID, network, run, service } from './fake-agent.ts';

describe('help', () => {
  it.each([
    ['help network create', 'Usage: overlayd network create [options] <name>'],
    ['help network', 'Usage: overlayd network [options] [command]'],
    ['help node list', 'Usage: overlayd node ls|list'],
    ['help publish ls', 'Usage: overlayd publish ls'],
    ['help events', 'Usage: overlayd events'],
    ['help', 'Usage: overlayd [options] [command]'],
    ['network create --help', 'Usage: overlayd network create'],
    ['--run-dir /run/x network rm -h', 'Usage: overlayd network rm'],
    ['--help network create', 'Usage: overlayd network create [options] <name>'],
    ['-h network', 'Usage: overlayd network [options] [command]'],
  ])('%s', async (line, usage) => {
    const { code, out, error } = await run(line);
    expect([code, error]).toEqual([0, '']);
    expect(out).toContain(usage);
  });

  it('tells defaults in words', async () => {
    const { out } = await run('help ui', { surroundings: { columns: 200 } });
    expect(out).toMatch(/IP:PORT, or unix:PATH \(default: 127\.0\.0\.1:7980\)$/m);
  });

  it.each([40, 80, 200])('is at most %i columns wide, but for words that are wider', async (columns) => {
    const { out } = await run('help network create', { surroundings: { columns } });
    const wide = out.split('\n').filter((line) => line.length > columns);
    expect(wide.filter((line) => line.trim().replace(/ \\$/, '').includes(' '))).toEqual([]);
  });
});

it.each([
  ['network delete web', 'removeNetwork'],
  ['network remove web', 'removeNetwork'],
  ['network list', 'listNetworks'],
  ['node delete host2', 'removeNode'],
  ['token delete abc', 'revokeToken'],
  ['dns delete web db', 'removeDns'],
  ['service delete web api', 'removeService'],
])('%s is what Docker calls it', async (line, method) => {
  const { asked, code } = await run(line);
  expect([code, asked.map(([name]) => name)]).toEqual([0, [method]]);
});

it.each([
  ['network rm --force=true web', 'network rm --force web'],
  ['network rm --force=false web', 'network rm web'],
  ['drift --repair=true', 'drift --repair'],
  ['events --local=1 --follow=F', 'events --local'],
  ['ipam repair --dry-run=t', 'ipam repair --dry-run'],
  ['network create --attachable=false web', 'network create --no-attachable web'],
  ['network ls --no-trunc=false', 'network ls'],
  ['network ls --no-trunc=true', 'network ls --no-trunc'],
])('%s is %s', async (line, plain) => {
  const [one, other] = [await run(line), await run(plain)];
  expect([one.code, one.error, one.out]).toEqual([other.code, other.error, other.out]);
  expect(one.asked).toEqual(other.asked);
  expect(one.asked).not.toEqual([]);
});

it('what Docker tells more by, or of more, is taken', async () => {
  expect((await run(['network', 'inspect', '-v', '-f', '{{.Name}}', 'web'])).out).toBe('web\n');
  expect((await run('ps -a')).code).toBe(0);
  expect((await run('ps --help')).out).not.toContain('--all');
});

it('the version is asked for before a command', async () => {
  for (const line of ['-v', '--version', '-v network ls', '--run-dir /run/x --version']) {
    const { asked, code, out } = await run(line);
    expect([code, out, asked]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/), []]);
  }
});

it('is told of where all commands are', async () => {
  for (const line of ['help', '--help', 'completion bash']) expect((await run(line)).out).toContain('--version');
});

it('help that was not asked for is as wide as the terminal too', async () => {
  const { code, out, error } = await run('', { surroundings: { columns: 40 } });
  expect([code, out]).toEqual([2, '']);
  expect(error.split('\n').filter((line) => line.length > 40)).toEqual([]);
});

describe('inspect', () => {
  const none = (code: 'network-not-found' | 'endpoint-not-found' | 'node-not-found' | 'token-not-found') => () => {
    throw new OverlaydError(code, 'none');
  };
  const nothing = {
    getNetwork: none('network-not-found'),
    getEndpoint: none('endpoint-not-found'),
    getNode: none('node-not-found'),
    getToken: none('token-not-found'),
    listServices: () => ({ services: [] }),
  };

  it.each([
    ['web', { getNetwork: () => network }, { Kind: 'network', Name: 'web', Id: NETWORK_ID }],
    ['api', { getEndpoint: undefined }, { Kind: 'endpoint', Name: 'api' }],
    ['host1', { getNode: undefined }, { Kind: 'node', Name: 'host1' }],
    ['api', { listServices: undefined }, { Kind: 'service', Alias: 'api', Network: 'web' }],
    ['web/api', { listServices: undefined }, { Kind: 'service', Alias: 'api' }],
    ['abcdefgh', { getToken: undefined }, { Kind: 'token', ID: 'abcdefgh' }],
  ])('%s', async (name, there, expected) => {
    const answers = Object.fromEntries(
      Object.entries({ ...nothing, ...there }).filter(([, answer]) => answer !== undefined),
    );
    const { out, code } = await run(`inspect ${name}`, { answers });
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject([expected]);
  });

  it('looks for one kind alone', async () => {
    const { asked, out } = await run(['inspect', '--type', 'node', '-f', '{{.Kind}} {{.Name}}', 'host1']);
    expect(out).toBe('node host1\n');
    expect(asked.map(([method]) => method)).toEqual(['getNode']);
  });

  it('says what a name means of several things', async () => {
    const { getEndpoint: _, listServices: __, ...others } = nothing;
    const { code, error } = await run('inspect api', { answers: others });
    expect([code, error]).toEqual([
      1,
      'overlayd: api means several things; say which: --type endpoint or --type service\n',
    ]);
  });

  it('takes a whole name, whatever ids begin with it', async () => {
    const ambiguous = () => {
      throw new OverlaydError('ambiguous-id', 'token db is ambiguous');
    };
    const { getNetwork: _, ...others } = nothing;
    const answers = { ...others, getNetwork: () => ({ ...network, name: 'db' }), getToken: ambiguous };
    expect((await run(['inspect', '-f', '{{.Kind}}', 'db'], { answers })).out).toBe('network\n');
    const { code, error } = await run('inspect d', { answers: { ...nothing, getToken: ambiguous } });
    expect([code, error]).toEqual([1, 'overlayd: token db is ambiguous\n']);
    const services = [
      { ...service, id: 'db'.repeat(32), alias: 'api' },
      { ...service, alias: 'db' },
    ];
    const listed = { ...nothing, listServices: () => ({ services }) };
    expect((await run(['inspect', '-f', '{{.Alias}}', 'db'], { answers: listed })).out).toBe('db\n');
  });

  it('says that there is nothing, and where to look', async () => {
    const { code, error } = await run('inspect nothing', { answers: nothing });
    expect(code).toBe(1);
    expect(error).toContain('there is no network, endpoint, node, service or token nothing; `overlayd network ls`');
  });
});
