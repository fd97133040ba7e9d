import type { SimulatedHost } from './simulated-cluster.ts';

/** From now on a look at the host's kernel, or at its WireGuard, tells what was there so many milliseconds ago. */
export function slowLooks({ clock, kernel, wireguard }: SimulatedHost, ms: number): void {
  for (const port of [kernel, wireguard] as { observe(...args: never[]): Promise<unknown> }[]) {
    const observe = port.observe.bind(port);
    port.observe = async (...args) => {
      const seen = await observe(...args);
      if (ms > 0) await clock.sleep(ms);
      return seen;
    };
  }
}
