/** The seeds of a random history: `SIM_SEED` that one alone, `SIM_SEEDS` so many of them, `SIM_FIRST` from that one on. */
export function seedsOf(usual: number): readonly number[] {
  const { SIM_FIRST = '1', SIM_SEED, SIM_SEEDS = String(usual) } = process.env;
  if (SIM_SEED !== undefined) return [Number(SIM_SEED)];
  return Array.from({ length: Number(SIM_SEEDS) }, (_, at) => Number(SIM_FIRST) + at);
}
