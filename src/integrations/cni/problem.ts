/** Errors as CNI has them: a number that says whose they are. Source: CNI 1.1.0, "Error". */
import { type ErrorCode, OverlaydError } from '../../core/errors.ts';

export const CNI = {
  version: 1,
  unsupportedField: 2,
  /** Nothing is there to be deleted. */
  unknownContainer: 3,
  environment: 4,
  decode: 6,
  config: 7,
  tryAgain: 11,
  notAvailable: 50,
  /** From here on they are a plugin's own. */
  own: 100,
} as const;

class CniProblem extends Error {
  readonly number: number;

  constructor(number: number) {
    super(`CNI ${number}`);
    this.number = number;
  }
}

/** What is wrong with a call as such. */
export function cniError(number: number, message: string): OverlaydError {
  return new OverlaydError('invalid-argument', message, { cause: new CniProblem(number) });
}

/** What whoever wrote the configuration, or chose arguments, can mend. */
const OF_CONFIGURATION: readonly ErrorCode[] = [
  ...(['invalid-argument', 'invalid-name', 'invalid-address', 'unknown-option'] as const),
  ...(['network-not-found', 'ambiguous-id', 'not-attachable'] as const),
  ...(['address-in-use', 'address-out-of-range'] as const),
];

const UNAVAILABLE: readonly ErrorCode[] = ['not-joined', 'version-mismatch', 'clock-skew'];

export function numberOf(error: OverlaydError, command: string): number {
  if (error.cause instanceof CniProblem) return error.cause.number;
  if (error.code === 'namespace-not-found') return CNI.unknownContainer;
  if (UNAVAILABLE.includes(error.code)) return CNI.notAvailable;
  if (command === 'STATUS') return CNI.notAvailable;
  if (error.retryable) return CNI.tryAgain;
  return OF_CONFIGURATION.includes(error.code) ? CNI.config : CNI.own;
}

/** `details` is overlayd's own name of it, see `docs/errors.md`. */
export function renderProblem(error: OverlaydError, command: string, cniVersion: string): string {
  const { code, message } = error;
  return `${JSON.stringify({ cniVersion, code: numberOf(error, command), msg: message, details: code })}\n`;
}
