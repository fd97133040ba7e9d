/** How findings are printed. */
import type { Finding } from '../gen/overlayd/v1/control.ts';
import { timestamp } from './output.ts';

export function findingJson({ certain, code, mend, sinceMs, subject, text }: Finding) {
  return {
    Code: code,
    Subject: subject,
    Message: text,
    Mend: mend,
    Since: timestamp(sinceMs),
    Certain: certain,
  };
}
