/**
 * A bundle (`NAME.bundle.cjs`) and the code that V8 made of it in a run before (`NAME.bundle.code`). Node's own compile
 * cache keeps only what is compiled when a file is loaded; this keeps every function that the run before has called, so
 * that a start parses and compiles next to nothing.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { Script } from 'node:vm';

/** Hexadecimal SHA-256 of a bundle: its last characters, and the first ones of its code. */
const HASH_BYTES = 64;

export interface CompiledBundle {
  /** Whether there was code and V8 took it: it does not when it is of another Node.js or other flags. */
  readonly compiled: boolean;
  run(): void;
  /** What to keep as its code. */
  encodeCode(): Buffer;
}

export function loadBundle(path: string): CompiledBundle {
  const text = readFileSync(path, 'utf8');
  const hash = text.slice(-HASH_BYTES);
  const cachedData = readCode(path.replace(/cjs$/, 'code'), hash);
  // As Node.js wraps a CommonJS file.
  const source = `(function (exports, require, module, __filename, __dirname) { ${text}\n})`;
  const script = new Script(source, { filename: path, ...(cachedData && { cachedData }) });
  return {
    compiled: cachedData !== undefined && script.cachedDataRejected === false,
    run() {
      const module = { exports: {} };
      script.runInThisContext()(module.exports, createRequire(path), module, path, dirname(path));
    },
    encodeCode: () => Buffer.concat([Buffer.from(hash), script.createCachedData()]),
  };
}

/** Of another bundle it must not be used: V8 itself compares no more than the length. */
function readCode(path: string, hash: string): Buffer | undefined {
  try {
    const code = readFileSync(path);
    return code.toString('latin1', 0, HASH_BYTES) === hash ? code.subarray(HASH_BYTES) : undefined;
  } catch {
    return undefined;
  }
}
