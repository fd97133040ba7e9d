/**
 * Ports that an endpoint declares, and what is said of it besides: how they are written, and what a container's engine
 * says of them. Nothing is opened or closed by it; a port with a name is found as `_NAME._PROTOCOL.ENDPOINT` (RFC 2782).
 */
import { OverlaydError } from './errors.ts';
import { checkLabels } from './labels.ts';
import type { EndpointPort, EndpointRecord } from './records.ts';

export const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;
/** An endpoint's record has to stay small: it is gossiped and watched by every member. */
const MOST_PORTS = 32;

/** RFC 6335, 5.1, without its rule of one hyphen after the other. */
const SERVICE = /^(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?$/;

/** The first names of IANA's registry of those ports that containers have; others need to be named. */
const WELL_KNOWN: Readonly<Record<string, string>> = {
  '22/tcp': 'ssh',
  '25/tcp': 'smtp',
  '53/tcp': 'domain',
  '53/udp': 'domain',
  '80/tcp': 'http',
  '123/udp': 'ntp',
  '143/tcp': 'imap',
  '389/tcp': 'ldap',
  '443/tcp': 'https',
  '514/udp': 'syslog',
  '636/tcp': 'ldaps',
  '1883/tcp': 'mqtt',
  '3306/tcp': 'mysql',
  '5060/tcp': 'sip',
  '5060/udp': 'sip',
  '5432/tcp': 'postgresql',
  '5671/tcp': 'amqps',
  '5672/tcp': 'amqp',
  '6379/tcp': 'redis',
  '27017/tcp': 'mongodb',
};

/** `[NAME=]PORT[/PROTOCOL]`; without a name that of the registry, if there is one. Throws `invalid-argument`. */
export function parseEndpointPort(text: string): EndpointPort {
  const equals = text.indexOf('=');
  const [number = '', protocol = 'tcp', ...more] = text.slice(equals + 1).split('/');
  const port = /^\d{1,5}$/.test(number) ? Number(number) : Number.NaN;
  const known = PROTOCOLS.find((each) => each === protocol.toLowerCase());
  const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text);
  if (!(port >= 1 && port <= 65_535) || more.length > 0) {
    throw invalid(
      `--port: ${shown} is not [NAME=]PORT[/tcp|udp], like 8080, http=8080 or dns=53/udp; one port each, from 1 to 65535`,
    );
  }
  if (known === undefined) throw invalid(`--port: ${shown}: the protocol is ${PROTOCOLS.join(', ')}, like ${port}/udp`);
  if (equals < 0) return withKnownName({ port, protocol: known });
  const name = text.slice(0, equals).toLowerCase();
  if (!SERVICE.test(name)) {
    throw invalid(
      `--port: ${shown}: the name of a service has 1 to 15 letters, digits and "-", a letter among them, without "_" in front, like http=${port}`,
    );
  }
  return { port, protocol: known, name };
}

function withKnownName({ port, protocol }: EndpointPort): EndpointPort {
  const name = WELL_KNOWN[`${port}/${protocol}`];
  return { port, protocol, ...(name === undefined ? {} : { name }) };
}

/** What an endpoint's record says of these; nothing of what it has none of. Throws `invalid-argument`. */
export function declarations(
  ports: readonly string[],
  labels: Readonly<Record<string, string>>,
): Pick<EndpointRecord, 'ports' | 'labels'> {
  const parsed = eachOnce(ports.map(parseEndpointPort));
  if (parsed.length > MOST_PORTS) throw invalid(`--port: an endpoint declares at most ${MOST_PORTS} ports`);
  const hasLabels = Object.keys(checkLabels(labels, 'endpoint')).length > 0;
  return { ...(parsed.length > 0 ? { ports: parsed } : {}), ...(hasLabels ? { labels } : {}) };
}

const LABEL = 'overlayd.port.';

/**
 * Of a container that an engine runs. `exposed` as `80/tcp`; a label `overlayd.port.NAME=PORT[/PROTOCOL]` names a port,
 * whether it is exposed or not. What cannot be read is left out: nobody is there to be told. Named ones come first.
 */
export function containerPorts(
  exposed: readonly string[],
  labels: Readonly<Record<string, string>>,
): readonly EndpointPort[] {
  const named = Object.entries(labels)
    .filter(([key]) => key.startsWith(LABEL))
    .map(([key, value]) => `${key.slice(LABEL.length)}=${value}`);
  const ports = [...named, ...exposed].flatMap((text) => {
    try {
      return parseEndpointPort(text);
    } catch {
      return [];
    }
  });
  const sorted = ports.sort((a, b) => rank(a) - rank(b) || a.port - b.port || (textOf(a) < textOf(b) ? -1 : 1));
  return eachOnce(sorted).slice(0, MOST_PORTS);
}

const rank = ({ name }: EndpointPort) => (name === undefined ? 1 : 0);

/** A port without a name says nothing beside one with a name, and the registry's name nothing beside a chosen one. */
function eachOnce(ports: readonly EndpointPort[]): readonly EndpointPort[] {
  const texts = new Set<string>();
  const chosen = new Set(ports.filter(isChosen).map(placeOf));
  return ports.filter((port) => {
    const text = textOf(port);
    if (texts.has(text) || (!isChosen(port) && chosen.has(placeOf(port)))) return false;
    texts.add(text);
    return true;
  });
}

const placeOf = ({ port, protocol }: EndpointPort) => `${port}/${protocol}`;
const textOf = (port: EndpointPort) => `${port.name ?? ''}=${placeOf(port)}`;
const isChosen = (port: EndpointPort) => port.name !== undefined && port.name !== WELL_KNOWN[placeOf(port)];

export function samePorts(a: readonly EndpointPort[] = [], b: readonly EndpointPort[] = []): boolean {
  return a.length === b.length && a.every((port, at) => textOf(port) === textOf(b[at]!));
}

function invalid(message: string): OverlaydError {
  return new OverlaydError('invalid-argument', message);
}
