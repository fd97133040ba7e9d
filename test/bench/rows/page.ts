import type { Browser } from 'playwright-core';
import { agentPid, allCpuMs, cpuMs } from '../../lab/agent-process.ts';
import type { Host } from '../../lab/host.ts';
import { openPage, startBrowser } from '../../page/browser.ts';
import { settle } from '../clock.ts';
import { gatewayOf } from '../control.ts';
import { FIRST, latencies, questions, STEADY_RATE, steadyLoad } from '../dns-load.ts';
import { openLargeCluster } from '../large-cluster.ts';
import { inNamespace } from '../lookout.ts';
import { type Experiment, floor, goal, lower, OVERLAYD, type Prepared, type Sample } from '../row.ts';
import { type ServedUi, serveUi } from '../served-ui.ts';

const CONTAINER = 'here';
const ENDPOINTS = 10_000;
const NAMES = 1_000;
const PAGES = 5;
/** Of these, as many as there are views that show events. */
const WITH_EVENTS = 2;
/** An endpoint that comes and one that goes, each second. */
const CHURN_RATE = 2;
const WINDOW_MS = 20_000;
const QUICK_WINDOW_MS = 8_000;
const DNS_SECONDS = 5;
/** What opening them sets off is over. */
const REST_MS = 5_000;
const FILE = '/run/questions';

/** When the browser drew something, and when the first row of all endpoints was there: milliseconds from the call of the page. */
async function paint(url: string): Promise<Sample> {
  const browser = await startBrowser();
  try {
    return await paintIn(browser, url);
  } finally {
    await browser.close();
  }
}

async function paintIn(browser: Browser, url: string): Promise<Sample> {
  const { page, complaints } = await openPage(browser, `${url}/#/endpoints`);
  await page.locator('[role=grid] .row').first().waitFor();
  const [drawn, shown] = (await page.evaluate(
    "[performance.getEntriesByName('first-contentful-paint')[0].startTime, performance.now()]",
  )) as [number, number];
  await page.context().close();
  if (complaints.length > 0) throw new Error(`the page complains: ${complaints.join('; ')}`);
  return { 'page-paint': drawn, 'page-shown': shown };
}

const page: Experiment = {
  name: 'page',
  title: 'The page, and what it costs the agent',
  method: `A host has a container on a network on which others have ${ENDPOINTS.toLocaleString('en-US')} endpoints, and \
\`overlayd ui\` runs there with ${PAGES} pages open: all that a browser reads is read, and nothing done with it, for a browser is \
on no server; ${WITH_EVENTS} of them show events. Floor: the same without the command. Processor time of the agent, with all our \
processes that a host has anyway, and of the page's server, over ${WINDOW_MS / 1_000} seconds: at rest, and while one endpoint \
comes and one goes each second elsewhere on that network; and what it takes of both to start the command and open all pages, for which \
the agent tells all that it knows. Names: dnsperf in the container, ${STEADY_RATE} questions a second for ${DNS_SECONDS} seconds, \
while endpoints come and go as before; then again, while the command is started and the pages are opened. dnsperf goes before all others \
(\`chrt --rr\`), on both sides: what it waits for a processor itself is no part of an answer. Paint: Debian's Chromium, started \
when nothing else is measured, opens the list of all endpoints, on the same two processors, from the call of the page on; "rows" is \
when the first of them is drawn.`,
  sides: [{ ...OVERLAYD, label: 'five pages' }, floor('no page')],
  rows: [
    lower('page-agent-rest', 'the agent, at rest', '% of a core', goal(2)),
    lower('page-agent-changes', 'the agent, a change each half second', '% of a core', goal(1.2, 'floor')),
    lower('page-ui-rest', 'the page’s server, at rest', '% of a core'),
    lower('page-ui-changes', 'the page’s server, a change each half second', '% of a core'),
    lower('page-agent-opening', 'the agent, five pages opened', 'ms'),
    lower('page-ui-opening', 'the page’s server, started and five pages opened', 'ms'),
    lower('page-dns-p99', 'names, p99', 'ms', goal(1.1, 'floor')),
    lower('page-dns-opening-p99', 'names while pages open, p99', 'ms', goal(1.1, 'floor')),
    lower('page-paint', 'first paint', 'ms', goal(1_000)),
    lower('page-shown', 'rows', 'ms', goal(1_000)),
  ],
  lab: 'own',
  rounds: 5,
  quickRounds: 1,
  limitMs: 180_000,
  async prepare(context): Promise<Prepared> {
    const cluster = await openLargeCluster(context);
    const { host, network } = cluster;
    await cluster.attach(CONTAINER);
    await cluster.setEndpoints(ENDPOINTS);
    const names = Array.from({ length: NAMES }, (_, nth) => `n${(nth * ENDPOINTS) / NAMES}`);
    await host.must(['sh', '-c', `cat > ${FILE}`], { input: questions(names) });
    const load = steadyLoad({ server: await gatewayOf(host, network), seconds: DNS_SECONDS, file: FILE });
    const asking = [...FIRST, ...inNamespace(CONTAINER), ...load];
    const p99 = async () => latencies(await host.must(asking)).p99;
    const windowMs = context.quick ? QUICK_WINDOW_MS : WINDOW_MS;
    return {
      async measure(side): Promise<Sample> {
        const [opening, opened] = await Promise.all([p99(), side === 'floor' ? undefined : openAll(host)]);
        const { ui } = opened ?? {};
        try {
          await settle(REST_MS);
          const rest = await shares(host, ui, windowMs);
          await cluster.churn(CHURN_RATE);
          const busy = await shares(host, ui, windowMs);
          const asked = await p99();
          await cluster.churn(0);
          return {
            ...{ 'page-agent-rest': rest.agent, 'page-agent-changes': busy.agent },
            ...{ 'page-dns-opening-p99': opening, 'page-dns-p99': asked },
            ...opened?.cost,
            ...(ui && { 'page-ui-rest': rest.ui, 'page-ui-changes': busy.ui, ...(await paint(ui.url)) }),
          };
        } finally {
          await ui?.close();
        }
      },
      close: async () => cluster.close(),
    };
  },
};

/** And what that took. */
async function openAll(host: Host): Promise<{ readonly ui: ServedUi; readonly cost: Sample }> {
  const agent = agentPid(host);
  const before = cpuMs(agent);
  const ui = await serveUi(host);
  await Promise.all(Array.from({ length: PAGES }, (_, nth) => ui.openPage({ events: nth < WITH_EVENTS })));
  return { ui, cost: { 'page-agent-opening': cpuMs(agent) - before, 'page-ui-opening': cpuMs(ui.pid) } };
}

/** Of one core, in percent. */
async function shares(host: Host, ui: ServedUi | undefined, ms: number): Promise<{ agent: number; ui: number }> {
  const look = () => ({ agent: allCpuMs(host), ui: ui ? cpuMs(ui.pid) : 0 });
  const before = look();
  await settle(ms);
  const after = look();
  return { agent: ((after.agent - before.agent) / ms) * 100, ui: ((after.ui - before.ui) / ms) * 100 };
}

export const pages: readonly Experiment[] = [page];
