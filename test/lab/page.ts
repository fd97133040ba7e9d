import type { Host } from './host.ts';

const FETCH = 'fetch(process.argv[1]).then(async (page) => process.stdout.write(await page.text()))';

/** What a web server says to that host; undefined when it says nothing. By Node.js: a host need not have another client. */
export async function fetchPage(host: Host, url: string): Promise<string | undefined> {
  const { code, stdout } = await host.run([process.execPath, '-e', FETCH, url], { timeoutMs: 10_000 });
  return code === 0 ? stdout : undefined;
}
