/**
 * A member's certificate, the CAs that it trusts, and, of a keeper, the CA's key (docs/adr/0024-a-node-writes-what-is-its-own.md).
 * What is to be had follows from the cluster's records; what is had is in the identity file, saved before it is used. Listeners
 * and clients take it while they run: connections that stand go on, new ones are made with it.
 *
 * Keepers whose etcd has to be started anew, as it reads its CAs once, do that one after another.
 */
import { type CaPhase, followCa, shownCertificate, trustedCas } from '../../core/ca-rotation.ts';
import type { ClusterView } from '../../core/cluster-view.ts';
import { asOverlaydError, OverlaydError } from '../../core/errors.ts';
import type { Liveness } from '../../core/failure-detector.ts';
import { isKeeper, keepersOf, mayWriteCluster, saidOf } from '../../core/keepers.ts';
import { Latch } from '../../core/latch.ts';
import { KEEPER_NAMES_LEVEL, levelOf, STORE_LEVEL } from '../../core/levels.ts';
import type { NodeRecord } from '../../core/records.ts';
import type { Pki } from '../../ports/identity.ts';
import type { CaKey } from '../../ports/keepers.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import { beginRotation, type CaRotationDeps, finishRotation, progressOf } from './ca-rotation.ts';
import type { Identity } from './identity.ts';
import { noteIssued } from './issued.ts';
import type { KeeperCalls } from './keeper-calls.ts';
import type { OwnIdentity } from './own-identity.ts';
import { isCertificateDue, type RenewalOptions, reissue, signingKeyOf, withIssued } from './renewal.ts';
import { keptList } from './revocation.ts';
import { bundledStoreOf } from './store-access.ts';
import { waitAtMost } from './wait-at-most.ts';

export interface CertificationDeps {
  readonly own: OwnIdentity;
  readonly pki: Pki;
  readonly clock: Clock;
  readonly random: Pick<Random, 'next'>;
  readonly logger: Logger;
  readonly keepers: Pick<KeeperCalls, 'askOthers'>;
  readonly view: () => Pick<
    ClusterView,
    'cluster' | 'isWhole' | 'keepers' | 'level' | 'node' | 'nodes' | 'storeChange'
  >;
  readonly liveness: (nodeId: string) => Liveness;
  /** Listeners, clients and this host's etcd take what the identity has now. Is called again should it fail. */
  readonly take: (identity: Identity) => Promise<void>;
  /** {@link Certification.trust} is another one. */
  readonly onTaken: () => void;
  readonly rotation: CaRotationDeps;
}

export type Trust = Pick<NodeRecord, 'certifiedBy' | 'trusts'>;

/** The clock is looked at so often, because it may jump: until then this node and its peers refuse each other. */
const LOOK_MS = 30_000;
const RETRY_MS = 5_000;
/** After a failure, whatever changes meanwhile; twice as long after each further one, and not to the moment. */
const FIRST_HOLD_MS = 250;

export class Certification {
  readonly #deps: CertificationDeps;
  readonly #options: RenewalOptions;
  readonly #due = new Latch();
  #taken: Identity;
  #trust: Trust | undefined;
  /** Serials; undefined: not known to this run yet. */
  #revoked: readonly string[] | undefined;
  /** Serials of its own certificates that are on record. */
  readonly #noted = new Set<string>();
  readonly #told = new Map<string, string>();
  /** For another keeper's etcd, or for it not to be heard any more. */
  #isWaiting = false;
  /** Makings of a CA that the cluster's record does not name yet. */
  #beginning = 0;

  /** `taken`: what listeners and clients were made with. */
  constructor(deps: CertificationDeps, taken: Identity, options: RenewalOptions) {
    this.#deps = deps;
    this.#taken = taken;
    this.#options = options;
  }

  /** For the node's own record: what is in use. Undefined below level 4. */
  get trust(): Trust | undefined {
    return this.#trust;
  }

  /** The view may have become another. */
  look(): void {
    this.#due.set();
  }

  /** What this host's etcd is to refuse from now on. */
  revoke(serials: readonly string[]): void {
    this.#revoked = serials;
    this.#due.set();
  }

  /** As {@link beginRotation}. */
  async rotate(): Promise<void> {
    this.#beginning++;
    try {
      await beginRotation(this.#deps.rotation);
    } finally {
      this.#beginning--;
      this.#due.set();
    }
  }

  /** Ends when the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      const results = [
        await this.#attempt('the certificates of the cluster are not followed yet', () => this.#follow()),
        await this.#attempt("the CA's key is not as it should be yet", () => this.#holdKey()),
        await this.#attempt('certificate not renewed', () => this.#renew()),
        await this.#attempt('revoked certificates are not refused by etcd yet', () => this.#list()),
        await this.#attempt('certificate not taken into use', () => this.#take()),
        await this.#attempt('the certificate is not on record yet', () => this.#note()),
        await this.#attempt('the next CA is not the only one yet', () => this.#finish()),
      ];
      failures = results.includes(false) ? failures + 1 : 0;
      // Members change one after another where much does: keepers that cannot help are not asked at each of them.
      if (failures > 0) await this.#hold(failures, signal);
      const waitMs = this.#isWaiting || results.includes(false) ? RETRY_MS : LOOK_MS;
      await waitAtMost(this.#due, waitMs, this.#deps.clock, signal);
    }
  }

  async #hold(failures: number, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps;
    const ms = Math.min(RETRY_MS, FIRST_HOLD_MS * 2 ** (failures - 1));
    await clock.sleep(ms * (0.5 + random.next() / 2), signal).catch(() => undefined);
  }

  /** The same again and again is said once. */
  async #attempt(what: string, step: () => Promise<void>): Promise<boolean> {
    try {
      await step();
      this.#told.delete(what);
      return true;
    } catch (thrown) {
      const { code, message } = asOverlaydError(thrown);
      const level = this.#told.get(what) === message ? 'debug' : 'warn';
      this.#told.set(what, message);
      this.#deps.logger[level]({ code, reason: message }, `${what}, trying again`);
      return false;
    }
  }

  get #phase(): CaPhase | undefined {
    const cluster = this.#deps.view().cluster();
    if (cluster?.nextCaCertificate === undefined) return undefined;
    return progressOf(this.#deps.pki, cluster, this.#deps.view().nodes()).phase;
  }

  async #follow(): Promise<void> {
    const { logger, own, view } = this.#deps;
    const cluster = view().cluster();
    if (this.#beginning > 0 || cluster === undefined || levelOf(view()) < STORE_LEVEL) return;
    const next = followCa(own.current, cluster);
    if (next === undefined) {
      throw new OverlaydError(
        'ca-mismatch',
        "the cluster's record names a CA that this host was not told of: it was away while the CA was replaced, or the record was put back from before; let it join again (`overlayd leave --force`, `overlayd join`)",
      );
    }
    if (next === own.current) return;
    await own.change((before) => followCa(before, cluster) ?? before);
    logger.info(
      { event: 'ca-followed', replacing: own.current.next !== undefined },
      'the CAs that this host trusts changed',
    );
  }

  /** Of the keepers that are there, those before this one in the order of ids trust these by now. */
  #isItsTurn(cas: string): boolean {
    const { liveness, own, view } = this.#deps;
    const { nodeId, store } = own.current;
    if (!store.bundled) return true;
    const wanted = this.#digestsOf(cas).join();
    const earlier = keepersOf(view().nodes(), saidOf(view())).filter(
      ({ id }) => id < nodeId && liveness(id) === 'ready',
    );
    return earlier.every(({ trusts }) => trusts?.join() === wanted);
  }

  /** It keeps the store, or is about to. */
  get #isKeeper(): boolean {
    const { own, view } = this.#deps;
    const { nodeId, store } = own.current;
    const change = view().storeChange();
    if (store.bundled || (change?.kind === 'add' && change.nodeId === nodeId)) return true;
    return isKeeper(nodeId, view().nodes(), saidOf(view()));
  }

  async #holdKey(): Promise<void> {
    const { keepers, logger, own, pki, view } = this.#deps;
    if (!view().isWhole || levelOf(view()) < STORE_LEVEL) return;
    const { caCertificate, caKey, next } = own.current;
    const keeps = this.#isKeeper;
    const lacks = caKey === undefined || (next && next.caKey === undefined);
    if (keeps && lacks) {
      const wanted = [
        ...(caKey === undefined ? [caCertificate] : []),
        ...(next && !next.caKey ? [next.caCertificate] : []),
      ];
      // One may be lost for good, and the other one is needed all the more.
      const asked = await Promise.allSettled(wanted.map((each) => keepers.askOthers('caKeys', { wanted: [each] })));
      const keys = asked.flatMap((each) => (each.status === 'fulfilled' ? each.value.keys : []));
      const keyOf = (certificate: string) =>
        keys.find((each) => each.certificate === certificate && pki.isKeyOf(each.key, certificate))?.key;
      await own.change((before) => withKeys(before, keyOf));
      if (caKey === undefined && own.current.caKey !== undefined)
        logger.info({ event: 'ca-key-held' }, "this host has the CA's key, as a keeper");
      const failed = asked.find((each) => each.status === 'rejected');
      if (failed) throw failed.reason;
    }
    if (!keeps && (caKey !== undefined || next?.caKey !== undefined)) await this.#giveUpKey();
  }

  /** Not before another keeper has shown that it can sign. */
  async #giveUpKey(): Promise<void> {
    const { logger, own, pki } = this.#deps;
    const issued = await this.#ask(levelOf(this.#deps.view()) < KEEPER_NAMES_LEVEL);
    await own.change((before) => {
      const { caKey: _, next, revoked: __, ...rest } = withIssued(pki, before, issued);
      if (next === undefined) return rest;
      const { caKey: ___, ...nextCa } = next;
      return { ...rest, next: nextCa };
    });
    logger.info({ event: 'ca-key-given-up' }, "this host is no keeper, and has the CA's key no more");
  }

  async #renew(): Promise<void> {
    const { logger, own, pki } = this.#deps;
    const phase = this.#phase;
    const keeper = this.#hasNames;
    if (!isCertificateDue(this.#deps, own.current, phase, this.#options, keeper)) return;
    const ca = signingKeyOf(own.current, phase);
    const issued = await this.#issue(ca, keeper).catch((error: unknown) => {
      const { isKeepers } = pki.readCertificate(shownCertificate(own.current).certificate);
      // Whoever decides may take it for no keeper (yet): that is no reason to let a certificate run out.
      if (!keeper || isKeepers || !isCertificateDue(this.#deps, own.current, phase, this.#options)) throw error;
      return this.#issue(ca, false);
    });
    await own.change((before) => withIssued(pki, before, issued));
    const { notAfter } = pki.validity(issued.certificate);
    const event = {
      event: 'certificate-renewed',
      nodeId: own.current.nodeId,
      notAfter: new Date(notAfter).toISOString(),
    } as const;
    logger.info(event, 'certificate renewed');
  }

  /** Whether its certificate is to have the names of keepers; undefined: it has to be seen first. */
  get #hasNames(): boolean | undefined {
    const view = this.#deps.view();
    if (!view.isWhole) return undefined;
    return levelOf(view) < KEEPER_NAMES_LEVEL || this.#isKeeper;
  }

  async #issue(ca: CaKey | undefined, names: boolean | undefined) {
    const { own, pki, view } = this.#deps;
    const keeper = names ?? pki.readCertificate(shownCertificate(own.current).certificate).isKeepers;
    const here = () => reissue(this.#deps, ca!, own.current, this.#options.certificateLifetimeMs, keeper);
    if (ca === undefined) return this.#ask(keeper);
    if (mayWriteCluster(view(), own.current.nodeId)) return here();
    // With a copy of the store it cannot write down what it makes: it does so later, if it has to.
    return this.#ask(keeper).catch(here);
  }

  async #ask(keeper: boolean) {
    const { keepers, own, pki } = this.#deps;
    const { advertiseAddress: address, key } = own.current;
    return keepers.askOthers('renew', { csr: await pki.createCsr(key), address, keeper });
  }

  /** What it has made for itself; others' are written down before they get them. */
  async #note(): Promise<void> {
    const { clock, own, pki, rotation, view } = this.#deps;
    const { certificate, next, nodeId } = own.current;
    if (!view().isWhole || levelOf(view()) < KEEPER_NAMES_LEVEL || !mayWriteCluster(view(), nodeId)) return;
    for (const each of [certificate, next?.certificate]) {
      const facts = each === undefined ? undefined : pki.readCertificate(each);
      if (facts === undefined || this.#noted.has(facts.serial)) continue;
      await noteIssued(rotation, facts, clock.now());
      this.#noted.add(facts.serial);
    }
  }

  /** Of the bundled etcd: there from its first start on, since it is told of the file but once. */
  async #list(): Promise<void> {
    const { clock, own, pki } = this.#deps;
    if (!this.#isKeeper || bundledStoreOf(own.current.store) === undefined) return;
    const next = await keptList(pki, own.current, this.#revoked, clock.now());
    if (next === own.current.revoked) return;
    await own.change((before) => ({ ...before, ...(next && { revoked: next }) }));
  }

  async #take(): Promise<void> {
    const { onTaken, own, pki, take, view } = this.#deps;
    if (this.#beginning > 0) return;
    const { current } = own;
    // Until then it does not say that it trusts them, so that nobody shows a certificate that its etcd would refuse.
    this.#isWaiting = trustedCas(current) !== trustedCas(this.#taken) && !this.#isItsTurn(trustedCas(current));
    if (this.#isWaiting) return;
    if (
      shownCertificate(current).certificate !== shownCertificate(this.#taken).certificate ||
      trustedCas(current) !== trustedCas(this.#taken) ||
      current.revoked?.list !== this.#taken.revoked?.list
    ) {
      await take(current);
    }
    this.#taken = current;
    if (levelOf(view()) < STORE_LEVEL) return;
    // A keeper that lacks the next one's key does not say yet that it trusts it.
    const isReady = !this.#isKeeper || current.next === undefined || current.next.caKey !== undefined;
    const trust: Trust = {
      trusts: this.#digestsOf(isReady ? trustedCas(current) : current.caCertificate),
      certifiedBy: pki.digest(shownCertificate(current).caCertificate),
    };
    if (JSON.stringify(trust) === JSON.stringify(this.#trust)) return;
    this.#trust = trust;
    onTaken();
  }

  async #finish(): Promise<void> {
    const { next } = this.#deps.own.current;
    if (this.#phase === 'retire' && next?.caKey !== undefined) await finishRotation(this.#deps.rotation);
  }

  #digestsOf(cas: string): string[] {
    const certificates = cas.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    return certificates.map((certificate) => this.#deps.pki.digest(certificate));
  }
}

function withKeys(identity: Identity, keyOf: (certificate: string) => string | undefined): Identity {
  const { next } = identity;
  const caKey = identity.caKey ?? keyOf(identity.caCertificate);
  const nextKey = next && (next.caKey ?? keyOf(next.caCertificate));
  return {
    ...identity,
    ...(caKey !== undefined && { caKey }),
    ...(next && { next: { ...next, ...(nextKey !== undefined && { caKey: nextKey }) } }),
  };
}
