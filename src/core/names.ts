/** Names that people give: what is allowed, and errors that show it. Source: RFC 1123 §2.1, RFC 952; Docker's rules. */
import { OverlaydError } from './errors.ts';

const NETWORK_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}$/;
/** Underscores are no host names by RFC 952, but container names have them and resolvers pass them. */
const ENDPOINT_NAME = /^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?$/;
/** RFC 1035, 2.3.4: 255 bytes, of which the first length and the root take two. */
const DNS_NAME_CHARACTERS = 253;
const DNS_LABEL = /^[a-zA-Z0-9_-]{1,63}$/;
const NODE_NAME = /^[a-zA-Z0-9]([a-zA-Z0-9_.-]{0,61}[a-zA-Z0-9])?$/;
/** Linux has 15 bytes for it. */
const INTERFACE_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,14}$/;
const PREDEFINED = new Set(['bridge', 'host', 'none', 'default', 'container', 'docker_gwbridge', 'ingress']);

export function isNetworkName(text: string): boolean {
  return NETWORK_NAME.test(text);
}

export function checkNetworkName(name: string): string {
  if (!isNetworkName(name)) {
    throw new OverlaydError(
      'invalid-name',
      `network name ${quote(name)} is not valid: 1 to 63 letters, digits, "_", "." or "-", beginning with a letter or digit, e.g. web or team-a.web`,
    );
  }
  if (PREDEFINED.has(name)) {
    throw new OverlaydError(
      'invalid-name',
      `network name "${name}" is predefined by container engines; choose another one`,
    );
  }
  return name;
}

/** A name or alias of an endpoint: one DNS label. `what` is e.g. `--alias`. */
export function checkEndpointName(name: string, what: string): string {
  if (name.toLowerCase() === 'localhost') {
    throw new OverlaydError(
      'invalid-name',
      `${what}: "localhost" is every container's own name for itself; choose another one`,
    );
  }
  if (!ENDPOINT_NAME.test(name)) {
    throw new OverlaydError(
      'invalid-name',
      `${what}: ${quote(name)} is not valid: 1 to 63 letters, digits, "-" or "_", not beginning or ending with "-", e.g. api or api-1`,
    );
  }
  return name;
}

/** `hint`: what to do where none was given. Throws `invalid-name`. */
export function checkNodeName(name: string, hint = '; give one with --name'): string {
  if (NODE_NAME.test(name)) return name;
  const shown = JSON.stringify(name.length > 40 ? `${name.slice(0, 40)}…` : name);
  throw new OverlaydError(
    'invalid-name',
    `node name ${shown} is not valid: 1 to 63 letters, digits, "-", "_" or ".", beginning and ending with a letter or digit${hint}`,
  );
}

/** Throws `invalid-name`. */
export function checkInterfaceName(name: string, what: string): void {
  if (!INTERFACE_NAME.test(name) || name === 'lo' || name === 'all' || name === 'default') {
    throw new OverlaydError(
      'invalid-name',
      `${what}: ${JSON.stringify(name.slice(0, 40))} is not valid: 1 to 15 letters, digits, "_", "." or "-", e.g. eth1`,
    );
  }
}

/** Whether a name or alias that a container engine gives, dots and all, can be asked for. */
export function isDnsName(text: string): boolean {
  return text.length <= DNS_NAME_CHARACTERS && text.split('.').every((label) => DNS_LABEL.test(label));
}

/** A name or alias that a container tool gives, as {@link checkEndpointName}; it may have dots. */
export function checkDnsName(name: string, what: string): string {
  if (isDnsName(name) && name.toLowerCase() !== 'localhost') return name;
  if (!name.includes('.')) return checkEndpointName(name, what);
  throw new OverlaydError(
    'invalid-name',
    `${what}: ${quote(name)} is not valid: labels of 1 to 63 letters, digits, "-" or "_" with dots between them, e.g. api or api.example`,
  );
}

/** Printable and short, whatever was typed. */
function quote(text: string): string {
  const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
  return shown;
}
