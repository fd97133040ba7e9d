/** Records anew what the unit tests read, as root: `node test/netns/netlink/record.ts`. The tests say of which kernel it is. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { recordMessages } from './recording.ts';

const file = path.resolve(import.meta.dirname, '../../fixtures/netlink-messages.json');
writeFileSync(file, `${JSON.stringify(await recordMessages(), undefined, 2)}\n`);
