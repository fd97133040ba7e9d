/** What TLS says when a certificate is not valid by a clock: the clock is the likelier culprit, and what to look at. */

const OUT_OF_TIME =
  /certificate (?:has )?expired|certificate is not yet valid|CERT_HAS_EXPIRED|CERT_NOT_YET_VALID|alert number 45\b/i;

export function speaksOfTime(text: string): boolean {
  return OUT_OF_TIME.test(text);
}

/** Completes "etcd at …: ". */
export const CLOCK_ADVICE =
  'a certificate is not valid by the clock of this host or of that one; compare `date -u` on both and set the clock that is wrong (NTP); agents renew their certificates by themselves, those of an etcd of your own have to be replaced when they have ended';
