/**
 * Packets through the data path that come with a wrong checksum: the kernel drops them, so that they are as lost, and counts them. Nobody
 * else sends where they come in. Pure.
 */
import { type Found, found } from '../finding.ts';
import type { Backend } from '../underlay.ts';

/** What was so and has not been since so long is over: members ask several times a minute. */
const FORGOTTEN_MS = 180_000;
/** One bit that flips on a wire is chance. */
const LEAST = 3;

export class ChecksumErrors {
  #last: number | undefined;
  #count = 0;
  #firstMs = 0;
  #lastMs = 0;

  /** `counted`: by the kernel, since the socket's namespace was made; undefined: it does not tell. `now`: by the wall clock. */
  note(counted: number | undefined, now: number): void {
    const before = this.#last ?? counted;
    this.#last = counted;
    if (this.#count > 0 && now - this.#lastMs > FORGOTTEN_MS) this.#count = 0;
    // The namespace is another one by now.
    const more = counted === undefined || before === undefined ? 0 : counted < before ? counted : counted - before;
    if (more === 0) return;
    if (this.#count === 0) this.#firstMs = now;
    this.#count += more;
    this.#lastMs = now;
  }

  findings(backend: Backend): Found[] {
    if (this.#count < LEAST) return [];
    const of = backend === 'plain' ? 'the data path' : 'the data path of encrypted networks';
    const text = `${this.#count} packets of other members came in here by ${of} with a wrong checksum, and were dropped: a network device computes them wrongly, on the sending host or here. Switch that off on the underlay's device, \`ethtool -K DEVICE tx off\`, first on the host to which the path is lost by \`overlayd status\`; containers' packets fare no better`;
    return found('checksum-broken', [text]).map((each) => ({ ...each, since: this.#firstMs }));
  }
}
