/** Options that say which etcd, and files that options name. */
import type { Command } from 'commander';
import { OverlaydError } from '../core/errors.ts';
import { parseEtcdUrls } from './argument.ts';
import { UsageError } from './exit.ts';
import type { Session } from './session.ts';

export interface EtcdOptions {
  readonly etcd?: readonly string[];
  readonly etcdCa?: string;
  readonly etcdCert?: string;
  readonly etcdKey?: string;
}

export interface EtcdRequest {
  etcdEndpoints: string[];
  etcdCa: string;
  etcdCert: string;
  etcdKey: string;
}

/** `etcd`: what `--etcd` is for. */
export function addEtcdOptions(command: Command, etcd: string): Command {
  return command
    .option('--etcd <url,...>', etcd, parseEtcdUrls)
    .option('--etcd-ca <file>', "certificate (PEM) of the authority that signed etcd's certificate")
    .option('--etcd-cert <file>', "this cluster's client certificate (PEM) for etcd")
    .option('--etcd-key <file>', 'key (PEM) of that certificate');
}

export async function etcdRequest(options: EtcdOptions, session: Session): Promise<EtcdRequest> {
  const { etcd = [], etcdCa, etcdCert, etcdKey } = options;
  if (etcd.length === 0 && (etcdCa ?? etcdCert ?? etcdKey) !== undefined) {
    throw new UsageError('--etcd-ca, --etcd-cert and --etcd-key need --etcd, like --etcd https://192.0.2.5:2379');
  }
  if ((etcdCert === undefined) !== (etcdKey === undefined)) {
    throw new UsageError('--etcd-cert and --etcd-key belong together; give both or none');
  }
  if (etcdCa !== undefined && etcd.some((url) => url.startsWith('http:'))) {
    throw new UsageError('--etcd-ca has no meaning for http:// URLs; write https:// or leave it out');
  }
  return {
    etcdEndpoints: [...etcd],
    etcdCa: await readPem(session, '--etcd-ca', etcdCa),
    etcdCert: await readPem(session, '--etcd-cert', etcdCert),
    etcdKey: await readPem(session, '--etcd-key', etcdKey),
  };
}

/** Text of the file that `what` names. */
export async function readInput(session: Session, what: string, path: string): Promise<string> {
  try {
    return await session.surroundings.readFile(path);
  } catch (cause) {
    throw new OverlaydError('invalid-argument', `${what}: ${(cause as Error).message}`, { cause });
  }
}

async function readPem(session: Session, option: string, path: string | undefined): Promise<string> {
  if (path === undefined) return '';
  const text = await readInput(session, option, path);
  if (!text.includes('-----BEGIN ')) throw new UsageError(`${option}: ${path} is not a PEM file`);
  return text;
}
