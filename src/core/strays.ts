/** Who sends, in clear, packets that bear the number of an encrypted network: counted by the host's table, told in words. Pure. */

/** Packets so far, by source address. */
export type PacketsBySource = ReadonlyMap<string, number>;

/** Of packets, after the last of which a source is named. */
const NAMED_MS = 600_000;
const MOST_NAMED = 5;

interface Stray {
  readonly packets: number;
  readonly lastAt: number;
}

export class Strays {
  readonly #strays = new Map<string, Stray>();
  /** Undefined: nothing was counted yet. What had come before that is of no known time. */
  #before: PacketsBySource | undefined;

  /** `at`: by the monotonic clock. Returns the sources that begin. */
  note(now: PacketsBySource, at: number): readonly string[] {
    const before = this.#before;
    this.#before = now;
    for (const [source, { lastAt }] of this.#strays) if (at - lastAt >= NAMED_MS) this.#strays.delete(source);
    const begun: string[] = [];
    for (const [source, packets] of before ? now : []) {
      const counted = before?.get(source) ?? 0;
      // A table that was written anew counts from nothing.
      const more = packets < counted ? packets : packets - counted;
      if (more === 0) continue;
      const known = this.#strays.get(source);
      if (!known) begun.push(source);
      this.#strays.set(source, { packets: (known?.packets ?? 0) + more, lastAt: at });
    }
    return begun;
  }

  /** `nameOf`: of the member with that address. */
  problems(nameOf: (address: string) => string | undefined): readonly string[] {
    const most = [...this.#strays].sort(([, a], [, b]) => b.packets - a.packets).slice(0, MOST_NAMED);
    return most.map(([source, { packets }]) => {
      const name = nameOf(source);
      const who = name === undefined ? source : `${name} (${source})`;
      const todo = name === undefined ? 'what runs there' : `\`overlayd status\` there, and what else runs there`;
      return `${packets} VXLAN packets came in clear from ${who} with the number of an encrypted network, and were dropped: nothing of them got in; look at ${todo}, or for somebody who uses that address`;
    });
  }
}
