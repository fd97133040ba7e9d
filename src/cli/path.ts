/** The data path to another node, as `status` shows it. */
import type { DataPath, PeerStatus } from '../gen/overlayd/v1/control.ts';
import { timestamp } from './output.ts';
import type { Column } from './table.ts';
import { age } from './tunnel.ts';

export function pathColumns(now: number): readonly Column<PeerStatus>[] {
  const of = (text: (path: DataPath) => string) => (row: PeerStatus) => (row.path ? text(row.path) : '-');
  return [
    {
      heading: 'DATA PATH',
      cell: of(({ state, changedMs }) => (changedMs === 0 ? state : `${state}, ${age(now - changedMs)}`)),
    },
    { heading: 'LOSS', cell: of(({ lossPercent }) => `${lossPercent} %`) },
    {
      heading: 'ROUND TRIP',
      cell: of(({ roundTripMs }) => (roundTripMs === 0 ? '-' : `${roundTripMs.toFixed(1)} ms`)),
    },
    { heading: 'MTU', cell: of(({ mtu }) => (mtu === 0 ? '-' : String(mtu))) },
  ];
}

export function pathJson({ changedMs, lossPercent, mtu, roundTripMs, state }: DataPath) {
  return { State: state, LossPercent: lossPercent, RoundTripMs: roundTripMs, Mtu: mtu, Since: timestamp(changedMs) };
}
