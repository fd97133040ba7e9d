import { describe, expect, it } from 'vitest';
import { createLogger, type LogOptions } from '../../../src/adapters/log.ts';
import { OverlaydError } from '../../../src/core/errors.ts';

function start(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const logger = createLogger(
    { level: 'info', format: 'json', journal: false, ...options },
    { write: (line) => lines.push(line) },
  );
  return { logger, lines };
}

describe('the logger', () => {
  it('writes one JSON object a line', () => {
    const { logger, lines } = start();
    logger.child({ task: 'gossip' }).info({ peer: 'host2' }, 'peer is back');
    expect(JSON.parse(lines[0]!)).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      task: 'gossip',
      peer: 'host2',
      msg: 'peer is back',
    });
  });

  it('leaves out what is below its level', () => {
    const { logger, lines } = start({ level: 'warn' });
    logger.info({}, 'one');
    logger.debug({}, 'two');
    logger.warn({}, 'three');
    logger.error({}, 'four');
    expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['three', 'four']);
  });

  it('writes text for people', () => {
    const { logger, lines } = start({ format: 'text' });
    logger.warn({ network: 'web', count: 2, nodes: ['a b'], note: 'two words' }, 'drift repaired');
    expect(lines[0]).toMatch(
      /^\d{4}-\S+Z warn {2}drift repaired network=web count=2 nodes=\["a b"\] note="two words"\n$/,
    );
  });

  it('gives the journal priorities instead of times, in one line whatever is in it', () => {
    const { logger, lines } = start({ format: 'text', journal: true });
    logger.error({ output: 'a\nb' }, 'nft failed');
    expect(lines).toEqual(['<3>nft failed output="a\\nb"\n']);
  });

  it('shows errors by code, message and cause, with a stack only where nobody foresaw them', () => {
    const { logger, lines } = start();
    const cause = new OverlaydError('store-unavailable', 'etcd does not answer');
    logger.warn({ error: new OverlaydError('conflict', 'try again', { cause }) }, 'refused');
    logger.error({ error: new TypeError('x is undefined') }, 'bug');
    expect(JSON.parse(lines[0]!).error).toEqual({
      message: 'try again',
      code: 'conflict',
      cause: { message: 'etcd does not answer', code: 'store-unavailable' },
    });
    expect(JSON.parse(lines[1]!).error.stack).toContain('log.test.ts');
  });

  it('tells people of errors in words, and of stacks where a bug shows alone, in lines of their own', () => {
    const { logger, lines } = start({ format: 'text', journal: true });
    const cause = new OverlaydError('store-unavailable', 'etcd does not answer');
    logger.warn({ peer: 'host2', error: new OverlaydError('conflict', 'try again', { cause }) }, 'refused');
    logger.warn({ error: new OverlaydError('conflict', 'no: etcd does not answer', { cause }) }, 'refused');
    logger.warn({ error: new TypeError('x is\n  undefined') }, 'odd');
    logger.error({ error: new Error('y', { cause: new RangeError('z') }) }, 'bug');
    expect(lines.slice(0, 3)).toEqual([
      '<4>refused: try again (conflict): etcd does not answer (store-unavailable) peer=host2\n',
      '<4>refused: no: etcd does not answer (conflict)\n',
      '<4>odd: x is | undefined\n',
    ]);
    const [first, second, ...others] = lines[3]!.trimEnd().split('\n');
    expect(first).toBe('<3>bug: y: z');
    expect(second).toMatch(/^<3> {4}at .*log\.test\.ts/);
    expect(others.every((line) => line.startsWith('<3>    at '))).toBe(true);
  });

  it('blanks secrets', () => {
    const { logger, lines } = start();
    logger.info({ token: 'OVLTKN-1-x', request: { secret: 's', caKey: 'k', name: 'n' } }, 'joining');
    expect(JSON.parse(lines[0]!)).toMatchObject({
      token: '[secret]',
      request: { secret: '[secret]', caKey: '[secret]', name: 'n' },
    });
  });
});
