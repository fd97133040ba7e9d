import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { OverlaydError } from '../core/errors.ts';
import type { Packing } from '../ports/files.ts';

export const packing: Packing = {
  pack: (text) => promisify(gzip)(text),

  async unpack(packed, mostBytes) {
    try {
      return (await promisify(gunzip)(packed, { maxOutputLength: mostBytes })).toString();
    } catch (cause) {
      throw new OverlaydError('invalid-argument', `what came packed cannot be unpacked: ${(cause as Error).message}`, {
        cause,
      });
    }
  },
};
