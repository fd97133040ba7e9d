/** Debian's Chromium, driven by playwright-core. */
import { type Browser, chromium, type Page } from 'playwright-core';

export const CHROMIUM = '/usr/bin/chromium';

export function startBrowser(): Promise<Browser> {
  // Root has no sandbox of Chromium's; nothing but our own page is opened.
  return chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
}

export interface OpenedPage {
  readonly page: Page;
  /** What the page complained of: errors, refused content, answers that were none. */
  readonly complaints: string[];
}

export async function openPage(
  browser: Browser,
  url: string,
  options: { readonly dark?: boolean; readonly width?: number; readonly height?: number } = {},
): Promise<OpenedPage> {
  const { dark = false, width = 1_280, height = 800 } = options;
  const context = await browser.newContext({
    ...{ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', locale: 'en-GB' },
    timezoneId: 'UTC',
  });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('requestfailed', (request) => {
    // Streams end with their page.
    if (!request.url().includes('/api/changes')) complaints.push(`${request.url()}: ${request.failure()?.errorText}`);
  });
  await page.goto(url);
  return { page, complaints };
}
