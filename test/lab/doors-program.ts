/** `node doors-program.ts PORT SOCKET …`, in a host of the lab: ports of its loopback that lead to Unix sockets. */
import { openDoor } from './socket-door.ts';

const words = process.argv.slice(2);
for (let at = 0; at < words.length; at += 2) await openDoor(Number(words[at]), words[at + 1]!);
console.log('open');
