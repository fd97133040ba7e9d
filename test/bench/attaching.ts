import type { ControlClient } from '../../src/adapters/grpc/control.ts';
import type { Host } from '../lab/host.ts';
import { settle, timed } from './clock.ts';
import { connect, disconnect, openControl } from './control.ts';
import type { Context, Prepared, Sample } from './row.ts';
import { median } from './statistics.ts';

/** Between two attaches, so that what follows from one is over. */
export const IDLE_MS = 100;

/** A network of overlayd with one container on it, `first-NAME`; options as of `overlayd network create`. */
export async function openOccupied(
  host: Host,
  control: ControlClient,
  name: string,
  ...options: readonly string[]
): Promise<() => Promise<void>> {
  const container = `first-${name}`;
  await host.mustOverlayd('network', 'create', ...options, name);
  await host.container(container);
  await connect(control, name, container);
  return async () => {
    await disconnect(control, name, container);
    await host.deleteContainer(container);
    await host.mustOverlayd('network', 'rm', name);
  };
}

export interface Turn {
  readonly attach: () => Promise<unknown>;
  readonly detach: () => Promise<unknown>;
}

/** What each took, in milliseconds. */
export interface Taken {
  readonly attached: readonly number[];
  readonly detached: readonly number[];
}

/** Attaches and detaches, one after the other, with pauses; of several turns A B, B A, … What each of them took. */
export async function attachInTurn(count: number, turns: readonly Turn[]): Promise<readonly Taken[]> {
  const taken = turns.map(() => ({ attached: [] as number[], detached: [] as number[] }));
  const order = [...turns.keys()];
  for (let done = 0; done < count; done++) {
    for (const at of order) {
      const { attach, detach } = turns[at]!;
      taken[at]!.attached.push(await timed(attach));
      await settle(IDLE_MS);
      taken[at]!.detached.push(await timed(detach));
      await settle(IDLE_MS);
    }
    order.reverse();
  }
  return taken;
}

/**
 * Attaches in turn, of one agent, to networks that it makes: a side for each, with its options as of `overlayd network create`.
 * All are measured when the first side is asked for. `rows`: by their names, which half of it they tell.
 */
export async function openAttachInTurn(
  { quick, measures }: Context,
  host: Host,
  networks: Readonly<Record<string, readonly string[]>>,
  rows: Readonly<Record<string, keyof Taken>>,
): Promise<Prepared> {
  const container = 'attaching';
  const control = openControl(host);
  const closings = new Map<string, () => Promise<void>>();
  for (const [network, options] of Object.entries(networks)) {
    if (measures(network)) closings.set(network, await openOccupied(host, control, network, ...options));
  }
  await host.container(container);
  const measured = [...closings.keys()];
  const turns = measured.map((network) => ({
    attach: () => connect(control, network, container),
    detach: () => disconnect(control, network, container),
  }));
  const left = new Map<string, Sample>();
  return {
    async measure(side): Promise<Sample> {
      if (!left.has(side)) {
        for (const [index, taken] of (await attachInTurn(quick ? 10 : 20, turns)).entries()) {
          const figures = Object.entries(rows).map(([row, half]) => [row, median(taken[half])]);
          left.set(measured[index]!, Object.fromEntries(figures));
        }
      }
      const sample = left.get(side)!;
      left.delete(side);
      return sample;
    },
    async close() {
      await host.deleteContainer(container);
      for (const close of closings.values()) await close();
      control.close();
    },
  };
}
