/**
 * The one error class. The list of codes is closed: `docs/errors.md` documents each, the front doors map each to
 * their own status. A message names the cause and the next step, in words that people search for.
 */
export const ERROR_CODES = [
  // the request is wrong
  'invalid-argument',
  'invalid-name',
  'invalid-address',
  'subnet-not-canonical',
  'pool-overlaps',
  'gateway-outside-subnet',
  'unknown-option',
  'ambiguous-id',
  // the thing named is not there, or is there already
  'network-not-found',
  'network-exists',
  'network-in-use',
  'not-attachable',
  'endpoint-not-found',
  'endpoint-exists',
  'node-not-found',
  'node-name-taken',
  'node-up',
  'store-holder',
  'token-not-found',
  'name-in-use',
  'name-not-found',
  'too-many-names',
  'namespace-not-found',
  'namespace-unusable',
  // claims
  'address-in-use',
  'address-out-of-range',
  'no-available-addresses',
  'no-available-subnets',
  'network-full',
  'vni-in-use',
  'conflict',
  // membership
  'not-joined',
  'already-member',
  'ca-mismatch',
  'token-invalid',
  'token-expired',
  'token-used',
  'version-mismatch',
  'clock-skew',
  'peer-refused',
  'peer-unreachable',
  'keeper-unreachable',
  'permission-denied',
  // the machine and what we depend on
  'agent-not-running',
  'store-unavailable',
  'store-failed',
  'store-removed',
  'data-path-failed',
  'engine-unavailable',
  'engine-refused',
  'tool-missing',
  'host-unsuitable',
  'package-missing',
  'config-invalid',
  'backup-unusable',
  'state-unreadable',
  'cancelled',
  'internal',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** Who asked asked for what cannot be: nothing is wrong with this host or the cluster. */
const OF_THE_REQUEST: readonly ErrorCode[] = [
  ...(['invalid-argument', 'invalid-name', 'invalid-address', 'subnet-not-canonical', 'pool-overlaps'] as const),
  ...(['gateway-outside-subnet', 'unknown-option', 'ambiguous-id'] as const),
  ...(['network-not-found', 'network-exists', 'network-in-use', 'not-attachable'] as const),
  ...(['endpoint-not-found', 'endpoint-exists', 'node-not-found', 'node-name-taken', 'node-up'] as const),
  ...(['store-holder', 'token-not-found', 'name-in-use', 'name-not-found', 'too-many-names'] as const),
  ...(['namespace-not-found', 'namespace-unusable', 'address-in-use', 'address-out-of-range', 'vni-in-use'] as const),
  ...(['not-joined', 'already-member', 'token-invalid', 'token-expired', 'token-used', 'permission-denied'] as const),
];

export interface ErrorOptions {
  cause?: unknown;
  /** True when the same request may succeed later without any change by the caller. */
  retryable?: boolean;
  /** True when what was asked was certainly not begun: it never got to whoever should do it, or is not known there. */
  nothingDone?: boolean;
}

/** An error a person or a program can act on. `retryable` is set where a foreign error enters. */
export class OverlaydError extends Error {
  override readonly name = 'OverlaydError';
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly nothingDone: boolean;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable ?? false;
    this.nothingDone = options.nothingDone ?? false;
  }
}

export function isOverlaydError(value: unknown, code?: ErrorCode): value is OverlaydError {
  return value instanceof OverlaydError && (code === undefined || value.code === code);
}

/** Whether it tells of a mistake in the request, and of nothing that is wrong here. */
export function isOfTheRequest(value: unknown): boolean {
  return value instanceof OverlaydError && OF_THE_REQUEST.includes(value.code);
}

/** Any thrown value as an `OverlaydError`: ours unchanged, foreign ones as `internal` with the cause kept. */
export function asOverlaydError(value: unknown): OverlaydError {
  if (value instanceof OverlaydError) return value;
  const message = value instanceof Error ? value.message : String(value);
  return new OverlaydError('internal', message, { cause: value });
}

/** Of a host that takes no part any more: its certificate opens etcd still, so it has to hold back itself. */
export function removedNode(): OverlaydError {
  return new OverlaydError('not-joined', 'this node was removed from the cluster; `overlayd status` says what to do');
}
