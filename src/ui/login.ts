/**
 * Who may look: whoever has a link that works once, which the command prints, and then a cookie. Links and sessions are in this
 * process alone, and end with it.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

export interface LoginOptions {
  /** Without, everybody may look who reaches the listener. */
  readonly isNeeded: boolean;
  /** Called with the secret of the next link when one was used. */
  readonly onUsed: (secret: string) => void;
  /** Milliseconds, of a clock that goes on evenly. */
  readonly elapsed: () => number;
}

/** Since it was used last. */
const SESSION_MS = 12 * 60 * 60 * 1_000;
const MOST_SESSIONS = 100;

export class Login {
  readonly #options: LoginOptions;
  /** Browsers send a host's cookies to all of its ports: two of these on one host have one each. */
  readonly #cookie = `overlayd_ui_${randomBytes(4).toString('hex')}`;
  /** Hash of the session's secret to when it was used last. */
  readonly #sessions = new Map<string, number>();
  #link = newSecret();

  constructor(options: LoginOptions) {
    this.#options = options;
  }

  /** Of the link that works now. */
  get secret(): string {
    return this.#link;
  }

  /** The value of `Set-Cookie`; undefined: the link is none, or was used before. */
  redeem(secret: string): string | undefined {
    if (!timingSafeEqual(digest(secret), digest(this.#link))) return undefined;
    this.#link = newSecret();
    const session = newSecret();
    this.#sessions.set(keyOf(session), this.#options.elapsed());
    const [oldest] = this.#sessions.keys();
    if (this.#sessions.size > MOST_SESSIONS) this.#sessions.delete(oldest!);
    this.#options.onUsed(this.#link);
    return `${this.#cookie}=${session}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${SESSION_MS / 1_000}`;
  }

  /** `cookies`: the header of a request. */
  accepts(cookies: string | undefined): boolean {
    if (!this.#options.isNeeded) return true;
    const now = this.#options.elapsed();
    return (cookies ?? '').split(/;\s*/).some((cookie) => {
      const [name, value = ''] = cookie.split('=', 2);
      if (name !== this.#cookie) return false;
      const key = keyOf(value);
      const usedAt = this.#sessions.get(key);
      if (usedAt === undefined) return false;
      this.#sessions.delete(key);
      if (now - usedAt > SESSION_MS) return false;
      this.#sessions.set(key, now);
      return true;
    });
  }
}

function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** What is looked up says nothing of the secret by how long it takes. */
function keyOf(secret: string): string {
  return digest(secret).toString('hex');
}
