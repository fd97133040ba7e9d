/**
 * A backup of the cluster's records, as text: one line that says what it is, one for each record, one that says that this is
 * all. Each line is JSON, and a record's value stands in it as it is read, so that `grep` and `jq` find things. It does not
 * depend on etcd, nor on how it is run. What hangs on a lease is not in it, nor what is about the members of the store. What was
 * written by another version is kept as it is, fields and keys that this one does not know too. Pure.
 */
import { OverlaydError } from './errors.ts';
import { decodeQuarantine } from './record-codec.ts';
import { PREFIX } from './records.ts';

/** Of the text, not of the records. */
const FORMAT = 1;
const WHAT = 'overlayd store backup';

export interface BackupRecord {
  readonly key: string;
  readonly value: string;
}

export interface BackupHeader {
  readonly clusterId: string;
  /** The level that the cluster spoke. */
  readonly level: number;
  /** Absent: it had none yet. */
  readonly epoch?: string;
  /** Of the store, as of which the records are. */
  readonly revision: number;
  /** Milliseconds since the epoch. */
  readonly takenAt: number;
  /** Name of the node that made it, and its version. */
  readonly takenBy: string;
  readonly version: string;
}

export interface StoreBackup {
  readonly header: BackupHeader;
  /** By key. */
  readonly records: ReadonlyMap<string, string>;
}

/** SHA-256 of UTF-8 text, lower-case hex. */
type Digest = (text: string) => string;

/** Whether a record outlives those who wrote it, and says nothing of the store itself. */
export function isBackedUp({ key, value }: BackupRecord): boolean {
  if (!key.startsWith(PREFIX)) return false;
  const [kind] = key.slice(PREFIX.length).split('/', 1);
  // Acknowledgements are given again.
  if (kind === 'live' || kind === 'store' || kind === 'network-acks') return false;
  return kind !== 'quarantine' || decodeQuarantine(value)?.keptFor !== undefined;
}

/** Those of the records that are backed up. */
export function formatBackup(header: BackupHeader, records: Iterable<BackupRecord>, digest: Digest): string {
  const lines = [...records]
    .filter(isBackedUp)
    .sort((a, b) => (a.key < b.key ? -1 : 1))
    .map(lineOf);
  const body = `${JSON.stringify({ what: WHAT, format: FORMAT, ...header })}\n${lines.map((line) => `${line}\n`).join('')}`;
  return `${body}${JSON.stringify({ records: lines.length, sha256: digest(body) })}\n`;
}

/** Throws `backup-unusable`, which names the line. */
export function parseBackup(text: string, digest: Digest): StoreBackup {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  const header = headerOf(lines[0]);
  const end = lines.length > 1 ? parse(lines.at(-1)!) : undefined;
  if (typeof end?.records !== 'number' || typeof end.sha256 !== 'string') {
    throw unusable(`it ends after line ${lines.length}, without the line that says that this is all: it was cut short`);
  }
  const records = new Map<string, string>();
  for (const [index, line] of lines.slice(1, -1).entries()) {
    const record = recordOf(line);
    if (!record) throw unusable(`line ${index + 2} is not a record`);
    if (records.has(record.key)) throw unusable(`line ${index + 2}: ${record.key} is there for the second time`);
    records.set(record.key, record.value);
  }
  if (records.size !== end.records) {
    throw unusable(`line ${lines.length} speaks of ${end.records} records, and there are ${records.size}`);
  }
  if (digest(text.slice(0, text.lastIndexOf(lines.at(-1)!))) !== end.sha256) {
    throw unusable(
      `line ${lines.length}: what stands before it is not what was written (SHA-256); where it was changed on purpose, put the right sum there`,
    );
  }
  return { header, records };
}

function lineOf({ key, value }: BackupRecord): string {
  const parsed = parse(value);
  const isSame = parsed !== undefined && JSON.stringify(parsed) === value;
  return `{"key":${JSON.stringify(key.slice(PREFIX.length))},${isSame ? `"value":${value}` : `"text":${JSON.stringify(value)}`}}`;
}

function recordOf(line: string): BackupRecord | undefined {
  const { key, value, text } = parse(line) ?? {};
  if (typeof key !== 'string' || key === '') return undefined;
  if (typeof text === 'string') return { key: `${PREFIX}${key}`, value: text };
  return typeof value === 'object' && value !== null
    ? { key: `${PREFIX}${key}`, value: JSON.stringify(value) }
    : undefined;
}

function headerOf(line: string | undefined): BackupHeader {
  const { what, format, ...header } = parse(line ?? '') ?? {};
  if (what !== WHAT) throw unusable(`line 1 does not say that it is one ("${WHAT}")`);
  if (format !== FORMAT) {
    throw unusable(
      `line 1: its format is ${format}, this overlayd reads ${FORMAT}; a newer one wrote it: upgrade this host`,
    );
  }
  const { clusterId, level, epoch, revision, takenAt, takenBy, version } = header;
  const sound =
    [clusterId, takenBy, version].every((each) => typeof each === 'string') &&
    [level, revision, takenAt].every((each) => typeof each === 'number' && Number.isFinite(each)) &&
    (epoch === undefined || typeof epoch === 'string');
  if (!sound) throw unusable('line 1 lacks something of what such a line says');
  return header as unknown as BackupHeader;
}

/** Undefined: it is no JSON object. */
function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function unusable(why: string): OverlaydError {
  return new OverlaydError('backup-unusable', `this is no backup of a store that can be used: ${why}`);
}
