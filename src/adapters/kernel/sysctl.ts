/** Kernel settings of a namespace: `/proc/sys/net` shows those of the namespace in which the thread is that opens it. */
import { writeFileSync } from 'node:fs';
import { insideNamespace } from '../native/namespace.ts';

/** `key`: as `net.ipv4.ip_forward`. A kernel without such a key is left as it is. Throws as writing a file does. */
export function setSysctl(path: string | undefined, key: string, value: string): void {
  const file = `/proc/sys/${key.replaceAll('.', '/')}`;
  insideNamespace(path, () => {
    try {
      writeFileSync(file, value, { flag: 'r+' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  });
}
