/** What is told of what is wrong, and what finds it. */

import type { KernelThread } from './adapters/kernel/kernel-thread.ts';
import { diskRoom, neighbourOverflows } from './adapters/system/room.ts';
import { usesIpv6 } from './agent/cluster/families.ts';
import { Doctor } from './agent/doctor.ts';
import { FindingsWatch } from './agent/findings-watch.ts';
import { HostNeeds } from './agent/host/host-needs.ts';
import type { IncusSide } from './agent/incus/incus-side.ts';
import { ipamRepair } from './agent/keeper-work.ts';
import type { Lifecycle } from './agent/lifecycle.ts';
import type { PodmanOffers } from './agent/podman/offers.ts';
import { Report } from './agent/report.ts';
import { found } from './core/finding.ts';
import type { JoinClient } from './ports/join.ts';
import type { Kernel } from './ports/kernel.ts';
import type { Clock, Logger } from './ports/runtime.ts';
import { VERSION } from './version.ts';

export interface ReportParts {
  readonly lifecycle: Lifecycle;
  readonly offers: Pick<PodmanOffers, 'problems'>;
  readonly incusSide: Pick<IncusSide, 'problems'>;
  readonly thread: KernelThread;
  readonly kernel: Pick<Kernel, 'observe'>;
  readonly joinClient: JoinClient;
  readonly clock: Clock;
  readonly logger: Logger;
  /** In words, why metrics are not served. */
  readonly metricsProblems: () => readonly string[];
}

const KNOCK_MS = 2_000;

export function composeReport(
  { lifecycle, offers, incusSide, thread, kernel, joinClient, clock, logger, metricsProblems }: ReportParts,
  { dataDir }: { readonly dataDir: string },
  { quarantineSeconds }: { readonly quarantineSeconds: number },
) {
  const needs = new HostNeeds({
    probe: (wanted) => thread.ask('lacks', wanted),
    wanted: () => ({ ipv6: usesIpv6(lifecycle.current?.member.view) }),
    ...{ clock, logger },
  });
  const ofHost = () => [
    ...found('host-lacks', needs.problems),
    ...found('podman-side', offers.problems),
    ...found('metrics-unserved', metricsProblems()),
    ...found('incus-side', incusSide.problems),
    ...doctor.standing,
  ];
  const report = new Report({ lifecycle, clock, ofHost });
  const doctor: Doctor = new Doctor(
    {
      ...{ report, kernel, clock, disk: () => diskRoom(dataDir), neighbourOverflows: () => neighbourOverflows() },
      strayAddresses: async ({ keepers, member, store }, network) => {
        const ipam = ipamRepair({ clock, logger, store, member: () => member }, { quarantineSeconds }, keepers);
        return (await ipam.check(network)).findings.map(({ what }) => what);
      },
      knock: (host, port) => joinClient.probe(host, port, KNOCK_MS),
    },
    { dataDir, version: VERSION },
  );
  const watch = new FindingsWatch({
    ...{ clock, logger, doctor },
    found: async () => (await report.make()).findings,
  });
  const run = (signal: AbortSignal) => Promise.all([needs.run(signal), watch.run(signal)]);
  return { run, report, doctor };
}
