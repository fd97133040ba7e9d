/** Join tokens as the cluster keeps them: a hash, an end, a number of uses. The text is shown once, when it is made. */
import { OverlaydError } from '../../core/errors.ts';
import { formatHostPort } from '../../core/host-port.ts';
import { STORE_LEVEL } from '../../core/levels.ts';
import { decodeToken } from '../../core/record-codec.ts';
import { keys, type TokenRecord, type TokenUse } from '../../core/records.ts';
import { resolveRef } from '../../core/reference.ts';
import { createToken, formatToken } from '../../core/token.ts';
import type { Pki } from '../../ports/identity.ts';
import type { CreatedToken } from '../../ports/keepers.ts';
import type { Clock, Logger, Random } from '../../ports/runtime.ts';
import type { ClusterStore } from '../../ports/store.ts';
import type { Change, Commit } from '../view/commit.ts';
import type { Identity } from './identity.ts';

export const DEFAULT_TOKEN_TTL_MS = 24 * 3_600_000;
/** Tokens that ended are kept so long, so that whoever still tries one is told why not. */
const KEPT_MS = 7 * 24 * 3_600_000;
const PURGED_AT_ONCE = 100;
const USES_KEPT = 20;

export interface TokenDeps {
  readonly store: Pick<ClusterStore, 'list'>;
  readonly commit: Commit;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  readonly pki: Pick<Pki, 'digest' | 'sha256'>;
  readonly logger: Logger;
}

type Creator = Pick<Identity, 'nodeId' | 'caCertificate' | 'advertiseAddress' | 'joinPort'>;

/** `ttlMs` 0: does not expire; `uses` 0: unlimited; `node`: the name of the only host that may join with it. */
export async function createJoinToken(
  deps: TokenDeps,
  creator: Creator,
  options: { readonly ttlMs: number; readonly uses: number; readonly node?: string; readonly by?: string },
): Promise<CreatedToken> {
  const now = deps.clock.now();
  const token = createToken(deps.pki.digest(creator.caCertificate), deps.random);
  const record: TokenRecord = {
    id: token.id,
    secretHash: deps.pki.sha256(token.secret),
    role: 'member',
    createdAt: now,
    createdBy: creator.nodeId,
    ...(options.ttlMs > 0 && { expiresAt: now + options.ttlMs }),
    ...(options.uses > 0 && { usesLeft: options.uses }),
    ...(options.node && { node: options.node }),
  };
  const key = keys.token(token.id);
  const changes: Change[] = [{ kind: 'put', key, record }, ...(await purges(deps.store, now))];
  const committed = await deps.commit([{ kind: 'absent', key }], changes);
  if (!committed) throw new OverlaydError('conflict', 'the new token got an id in use; try again', { retryable: true });
  const limits = { usesLeft: record.usesLeft, forNode: record.node, expiresAt: timeOf(record.expiresAt) };
  deps.logger.info({ event: 'token-created', tokenId: token.id, by: options.by, ...limits }, 'token made');
  const text = formatToken(token);
  return {
    id: token.id,
    token: text,
    joinCommand: `overlayd join --token ${text} ${formatHostPort(creator.advertiseAddress, creator.joinPort)}`,
    expiresAtMs: record.expiresAt ?? 0,
  };
}

/** As people read it; undefined: it never comes. */
function timeOf(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}

/** The record after a host has joined with it; the same object where nothing of that is kept. */
export function usedBy(record: TokenRecord, use: TokenUse, level: number): TokenRecord {
  const counted = record.usesLeft === undefined ? record : { ...record, usesLeft: record.usesLeft - 1 };
  if (level < STORE_LEVEL) return counted;
  return { ...counted, uses: [...(record.uses ?? []), use].slice(-USES_KEPT) };
}

/** Those that were not revoked, the newest last. */
export async function listTokens(store: TokenDeps['store']): Promise<TokenRecord[]> {
  const records = (await readTokens(store)).map(({ record }) => record);
  return records.filter(({ revokedAt }) => revokedAt === undefined).sort((a, b) => a.createdAt - b.createdAt);
}

/** Returns the id. `by`: the name of the node that asks. Throws `token-not-found`, `ambiguous-id`. */
export async function revokeToken(
  deps: Pick<TokenDeps, 'store' | 'commit' | 'clock' | 'logger'>,
  ref: string,
  by?: string,
): Promise<string> {
  for (;;) {
    const tokens = (await readTokens(deps.store)).filter(({ record }) => record.revokedAt === undefined);
    const { id } = resolveRef(
      tokens.map(({ record }) => ({ id: record.id })),
      ref,
      'token',
    );
    const { key, revision, record } = tokens.find((token) => token.record.id === id)!;
    const revoked: TokenRecord = { ...record, revokedAt: deps.clock.now() };
    if (!(await deps.commit([{ kind: 'revision', key, revision }], [{ kind: 'put', key, record: revoked }]))) continue;
    deps.logger.info({ event: 'token-revoked', tokenId: id, by }, 'token revoked');
    return id;
  }
}

async function readTokens(store: TokenDeps['store']) {
  const { entries } = await store.list(keys.tokens);
  return entries.flatMap(({ key, value, revision }) => {
    const record = decodeToken(value);
    return record === undefined ? [] : [{ key, revision, record }];
  });
}

async function purges(store: TokenDeps['store'], now: number): Promise<Change[]> {
  const ended = ({ revokedAt, expiresAt, usesLeft, createdAt }: TokenRecord) =>
    revokedAt ?? expiresAt ?? (usesLeft === 0 ? createdAt : Number.POSITIVE_INFINITY);
  const old = (await readTokens(store)).filter(({ record }) => ended(record) < now - KEPT_MS);
  return old.slice(0, PURGED_AT_ONCE).map(({ key }) => ({ kind: 'delete', key }));
}
