/** The data path to another node, as `status` shows it. */
import type { DataPath } from '../gen/overlayd/v1/control.ts';
import { timestamp } from './output.ts';
import type { Column } from './table.ts';
import { age } from './tunnel.ts';

/** `mtu`: the heading of what passes in one piece. */
export function pathColumns<T>(
  now: number,
  pathOf: (row: T) => DataPath | undefined,
  mtu = 'MTU',
): readonly Column<T>[] {
  const of = (text: (path: DataPath) => string) => (row: T) => {
    const path = pathOf(row);
    return path ? text(path) : '-';
  };
  return [
    {
      heading: 'DATA PATH',
      cell: of(({ state, changedMs }) => (changedMs === 0 ? state : `${state} for ${age(now - changedMs)}`)),
    },
    { heading: 'LOSS', cell: of(({ lossPercent }) => `${lossPercent} %`) },
    {
      heading: 'ROUND TRIP',
      cell: of(({ roundTripMs }) => (roundTripMs === 0 ? '-' : `${roundTripMs.toFixed(1)} ms`)),
    },
    { heading: mtu, cell: of((path) => (path.mtu === 0 ? '-' : String(path.mtu))) },
  ];
}

export function pathJson({ changedMs, lossPercent, mtu, roundTripMs, state }: DataPath) {
  return { State: state, LossPercent: lossPercent, RoundTripMs: roundTripMs, Mtu: mtu, Since: timestamp(changedMs) };
}
