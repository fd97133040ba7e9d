/**
 * Runs test files one by one without vitest, whose start takes longer than its own limits where a processor is emulated:
 *
 *   npm run test:kernel -- bookworm -- node test/kernel/plain.ts test/netns/wireguard/wireguard.test.ts
 *
 * Of vitest there is what those files use (`plain-vitest.ts`). The last line is `N passed, N failed`.
 */
import { registerHooks } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const plain = new URL('./plain-vitest.ts', import.meta.url).href;
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === 'vitest' ? { url: plain, shortCircuit: true } : next(specifier, context),
});

const { run } = (await import(plain)) as typeof import('./plain-vitest.ts');
for (const file of process.argv.slice(2)) await import(pathToFileURL(resolve(file)).href);
const { passed, failed } = await run();
console.log(`${passed} passed, ${failed} failed`);
// What a test that failed left behind keeps nobody.
process.exit(failed === 0 && passed > 0 ? 0 : 1);
