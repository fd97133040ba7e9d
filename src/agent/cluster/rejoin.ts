/**
 * `overlayd join` on a host that is a member already, whose certificate has run out: no member speaks with it any more, nor can
 * it ask for another one. A token lets it in again as the same node, by the same key; its networks go on meanwhile, and
 * nothing starts anew. The same for one that does not reach its store: where the cluster has another CA now, which the token
 * pins, this host follows it (`another-ca.ts`).
 */
import { shownCertificate } from '../../core/ca-rotation.ts';
import { OverlaydError } from '../../core/errors.ts';
import { formatHostPort } from '../../core/host-port.ts';
import type { NodeRecord } from '../../core/records.ts';
import { parseToken } from '../../core/token.ts';
import type { JoinResponse } from '../../ports/join.ts';
import { type Adopt, adoptResponse } from './another-ca.ts';
import type { Certification } from './certification.ts';
import type { Identity } from './identity.ts';
import type { ClusterDefaults, ClusterOutcome } from './init.ts';
import { checkResponse, type JoinDeps, type JoinOptions, parseTarget } from './join.ts';
import type { OwnIdentity } from './own-identity.ts';

export interface RejoinDeps extends Pick<JoinDeps, 'clock' | 'facts' | 'joinClient' | 'pki' | 'wireguard'> {
  readonly own: OwnIdentity;
  /** As it is listed. */
  readonly member: { readonly self: NodeRecord };
  readonly certification: Pick<Certification, 'look'>;
}

/** `store`: where another CA leads, with what becomes of the identity by it. */
export interface JoinedAgain extends ClusterOutcome {
  readonly store: Identity['store'] | undefined;
  readonly adopt?: Adopt;
}

/** Whether its store does not answer it; or its certificate is not valid by its clock, and it cannot make itself another one. */
export function isShutOut(
  { clock, pki }: Pick<RejoinDeps, 'clock' | 'pki'>,
  { identity, member }: { readonly identity: Identity; readonly member: { readonly storeConnected: boolean } },
): boolean {
  if (!member.storeConnected) return true;
  const { notBefore, notAfter } = pki.validity(shownCertificate(identity).certificate);
  const now = clock.now();
  return identity.caKey === undefined && (now < notBefore || now > notAfter);
}

/** Returns the node with the new certificate, which is saved; or where another CA leads. Throws what `join` throws. */
export async function joinAgain(
  deps: RejoinDeps,
  options: Pick<JoinOptions, 'address' | 'token'>,
  defaults: Pick<ClusterDefaults, 'agent' | 'joinPort'>,
  progress: (text: string) => void,
): Promise<JoinedAgain> {
  const { certification, clock, facts, joinClient, member, own, pki, wireguard } = deps;
  const { clusterId, key, nat, name } = own.current;
  const token = parseToken(options.token);
  const target = parseTarget(options.address, defaults.joinPort);
  progress(`asking ${formatHostPort(target.host, target.port)} to let this host in again`);
  const { underlayMtu, hostRoutes, linkRoutes = [], neededAddresses = [], labels } = member.self;
  const { advertiseAddress, gossipPort, joinPort, vtep, dataPathPort } = own.current;
  const response = await joinClient.join(target, token.caDigest, {
    ...{ tokenId: token.id, tokenSecret: token.secret, csr: await pki.createCsr(key), nowMs: clock.now() },
    ...{ nodeName: name, advertiseAddress, gossipPort, joinPort, vtep, dataPathPort, nat, ...defaults.agent },
    ...{ underlayMtu, hostRoutes, linkRoutes, neededAddresses, labels },
    ownAddresses: (await facts.addresses()).map(({ address }) => address),
    wireguardBackend: (await wireguard.backend()) ?? '',
  });
  checkResponse(pki, response, key, token.caDigest);
  if (response.clusterId !== clusterId) {
    throw new OverlaydError(
      'already-member',
      `the token is of cluster ${response.clusterId}, this host is a member of ${clusterId}; \`overlayd leave --force\` comes before another cluster`,
    );
  }
  const { caCertificate, next } = own.current;
  if (response.caCertificate !== caCertificate && response.caCertificate !== next?.caCertificate) {
    const store = { ...response.store, bundled: false };
    return { identity: own.current, joinCommand: '', warnings: [], store, adopt: adoptResponse(response) };
  }
  const identity = await own.change((before) => withResponse({ clock, pki }, before, response));
  certification.look();
  return { identity, joinCommand: '', warnings: [], store: undefined };
}

/** A keeper whose own certificate is good keeps it: that of the response lacks the names by which it is the store. */
function withResponse(
  { clock, pki }: Pick<RejoinDeps, 'clock' | 'pki'>,
  { next, ...before }: Identity,
  { caCertificate, certificate, nextCaCertificate }: JoinResponse,
): Identity {
  const [own, given] = [before.certificate, certificate].map((each) => pki.readCertificate(each));
  const isGood = caCertificate === before.caCertificate && clock.now() <= own!.notAfter;
  const keepsOwn = isGood && own!.isKeepers && !given!.isKeepers;
  return {
    ...before,
    caCertificate,
    ...(!keepsOwn && { certificate }),
    ...(nextCaCertificate !== '' && { next: kept(next, nextCaCertificate) }),
  };
}

/** The next CA's key, of a keeper, and what this node has by it already. */
function kept(next: Identity['next'], caCertificate: string): NonNullable<Identity['next']> {
  return next?.caCertificate === caCertificate ? next : { caCertificate };
}
