/**
 * `node name-watch.ts SERVER NAME`: asks the name server until it knows the name, then prints when that was, in
 * milliseconds since 1970. Says "ready" after the first answer. Run in a container's network namespace.
 */
import { Resolver } from 'node:dns/promises';
import { setTimeout as pause } from 'node:timers/promises';

const [server, name] = process.argv.slice(2);
const PAUSE_MS = 2;

const resolver = new Resolver({ timeout: 1000, tries: 1 });
resolver.setServers([server!]);
for (let asked = 0; ; asked++) {
  const known = await resolver.resolve4(name!).then(
    () => true,
    () => false,
  );
  if (asked === 0) console.log('ready');
  if (known) break;
  await pause(PAUSE_MS);
}
console.log(performance.timeOrigin + performance.now());
