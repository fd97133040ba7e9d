/**
 * The identity of a member while it runs: what is in the file, and what has been changed since. Whoever changes a part of it
 * does so here, so that nobody writes over what another one has changed.
 */
import type { JsonFile } from '../../ports/files.ts';
import type { Identity, IdentityState } from './identity.ts';

export class OwnIdentity {
  readonly #file: JsonFile<IdentityState>;
  #current: Identity;
  #last: Promise<unknown> = Promise.resolve();

  constructor(file: JsonFile<IdentityState>, identity: Identity) {
    this.#file = file;
    this.#current = identity;
  }

  get current(): Identity {
    return this.#current;
  }

  /**
   * One change after the other. Rejects with why it is not saved, and nothing is changed then; with `unsaved` it is all the same,
   * until this run ends.
   */
  change(
    next: (before: Identity) => Identity | Promise<Identity>,
    options?: { readonly unsaved: (error: unknown) => void },
  ): Promise<Identity> {
    const changed = this.#last.then(async () => {
      const identity = await next(this.#current);
      if (identity === this.#current) return identity;
      try {
        await this.#file.save(identity);
      } catch (error) {
        if (!options) throw error;
        options.unsaved(error);
      }
      this.#current = identity;
      return identity;
    });
    this.#last = changed.catch(() => undefined);
    return changed;
  }
}
