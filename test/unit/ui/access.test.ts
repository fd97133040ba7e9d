import { describe, expect, it } from 'vitest';
import { Login } from '../../../src/ui/login.ts';
import { refusal } from '../../../src/ui/request-guard.ts';

function login(isNeeded = true) {
  const at = { ms: 0 };
  const links: string[] = [];
  const made = new Login({ isNeeded, onUsed: (secret) => links.push(secret), elapsed: () => at.ms });
  return { at, links, login: made };
}
const cookieOf = (header: string | undefined) => header!.split(';')[0]!;

describe('a login', () => {
  it('takes each link once, and gives the next one', () => {
    const { login: made, links } = login();
    const first = made.secret;
    const cookie = made.redeem(first);
    expect(cookie).toMatch(/^overlayd_ui_[0-9a-f]{8}=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=43200$/);
    expect(made.redeem(first)).toBeUndefined();
    expect(made.redeem('')).toBeUndefined();
    expect(links).toEqual([made.secret]);
    expect(made.secret).not.toBe(first);
    expect(made.redeem(made.secret)).toBeDefined();
  });

  it('lets in who has the cookie, among others, until it was not used for twelve hours', () => {
    const { login: made, at } = login();
    const cookie = cookieOf(made.redeem(made.secret));
    expect(made.accepts(undefined)).toBe(false);
    expect(made.accepts(`${cookie.split('=')[0]}=other`)).toBe(false);
    expect(made.accepts(`a=b; ${cookie}`)).toBe(true);
    at.ms += 11 * 3_600_000;
    expect(made.accepts(cookie)).toBe(true);
    at.ms += 11 * 3_600_000;
    expect(made.accepts(cookie)).toBe(true);
    at.ms += 12 * 3_600_000 + 1;
    expect(made.accepts(cookie)).toBe(false);
    expect(made.accepts(cookie)).toBe(false);
  });

  it('does not end the one of another page at the same host, whose port browsers do not heed', () => {
    const made = [login().login, login().login];
    const jar = new Map(made.map((each) => cookieOf(each.redeem(each.secret)).split('=', 2) as [string, string]));
    const cookies = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    expect(made.map((each) => each.accepts(cookies))).toEqual([true, true]);
  });

  it('is not asked for where the listener is for its owner alone', () => {
    expect(login(false).login.accepts(undefined)).toBe(true);
  });
});

describe('a request', () => {
  const of = (host: string | undefined, more: { origin?: string; site?: string } = {}) =>
    refusal({ host, ...more }, ['overlay.example']);

  it('goes to an address, to localhost, or to a name that was given, at any port', () => {
    for (const host of [
      '127.0.0.1:7980',
      'localhost:9',
      'LOCALHOST',
      '[::1]:7980',
      '192.0.2.1',
      'overlay.example:80',
    ]) {
      expect(of(host), host).toBeUndefined();
    }
  });

  it('is refused under a name that others may have turned to this host', () => {
    for (const host of ['evil.example:7980', 'localhost.evil.example', '127.0.0.1.evil.example', '', undefined]) {
      expect(of(host), host).toBeDefined();
    }
  });

  it('is refused when another site begins it', () => {
    expect(of('127.0.0.1:7980', { origin: 'http://127.0.0.1:7980', site: 'same-origin' })).toBeUndefined();
    expect(of('127.0.0.1:7980', { site: 'none' })).toBeUndefined();
    expect(of('127.0.0.1:7980', { origin: 'http://evil.example' })).toBeDefined();
    expect(of('127.0.0.1:7980', { origin: 'http://127.0.0.1:8000' })).toBeDefined();
    expect(of('127.0.0.1:7980', { origin: 'null' })).toBeDefined();
    expect(of('127.0.0.1:7980', { site: 'cross-site' })).toBeDefined();
    expect(of('127.0.0.1:7980', { site: 'same-site' })).toBeDefined();
  });
});
