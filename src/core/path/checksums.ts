/**
 * Packets through the data path that come with a wrong checksum: the kernel drops them, so that they are as lost, and counts them. Pure.
 */
import { type Found, found, suspected } from '../finding.ts';
import { Rise } from '../rise.ts';
import type { Backend } from '../underlay.ts';

/** UDP packets that the kernel dropped for a wrong checksum, so far. */
export interface ChecksumCounts {
  /** Where packets come out of the tunnel: nobody else sends there. */
  readonly inside: number;
  /** Of the host: VXLAN's own are among them, and those for anybody else. */
  readonly outside: number;
}

/** One bit that flips on a wire is chance. */
const LEAST = 3;

export class ChecksumErrors {
  readonly #inside = new Rise();
  readonly #outside = new Rise();

  /** `now`: by the wall clock. */
  note(counts: ChecksumCounts | undefined, now: number): void {
    this.#inside.note(counts?.inside, now);
    this.#outside.note(counts?.outside, now);
  }

  /** `isImpaired`: packets to a member, or from one, get lost. */
  findings(backend: Backend, isImpaired: boolean): Found[] {
    const what = backend === 'plain' ? 'the data path' : 'the data path of encrypted networks';
    const [inside, outside] = [this.#inside, this.#outside];
    if (inside.count >= LEAST) {
      const text = `${inside.count} packets of other members came in here by ${what} with a wrong checksum, and were dropped: ${MEND}`;
      return found('checksum-broken', [text]).map((each) => ({ ...each, since: inside.firstMs }));
    }
    if (outside.count < LEAST || !isImpaired) return [];
    const text = `${outside.count} UDP packets came in on this host with a wrong checksum, and were dropped, while packets by ${what} get lost: ${MEND}`;
    return [{ ...suspected('checksum-broken', text), since: outside.firstMs }];
  }
}

const MEND =
  "a network device computes checksums wrongly, on the sending host or here; switch that off on the underlay's device, `ethtool -K DEVICE tx off`, first on the host whose path is lost by `overlayd status`";
