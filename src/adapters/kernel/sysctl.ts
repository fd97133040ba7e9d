/** Kernel settings of a namespace: `/proc/sys/net` shows those of the namespace in which the thread is that opens it. */
import { writeFileSync } from 'node:fs';
import { insideNamespace } from '../native/namespace.ts';

/**
 * `key`: as `net.ipv4.ip_forward`, or with `/` for its dots. A kernel without such a key is left as it is, unless it is
 * `required`. Throws as writing a file does.
 */
export function setSysctl(path: string | undefined, key: string, value: string, required = false): void {
  const file = `/proc/sys/${key.includes('/') ? key : key.replaceAll('.', '/')}`;
  insideNamespace(path, () => {
    try {
      writeFileSync(file, value, { flag: 'r+' });
    } catch (error) {
      if (required || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  });
}
