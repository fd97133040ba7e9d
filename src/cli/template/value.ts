/** Values as templates print and weigh them. */

/** Lists as `a,b`, maps as `key=value,…`: what a shell can take apart. Go prints `[a b]` and `map[key:value]`. */
export function textOf(value: unknown): string {
  if (value === undefined || value === null) return '<no value>';
  if (Array.isArray(value)) return value.map(textOf).join(',');
  if (typeof value !== 'object') return String(value);
  return Object.entries(value)
    .map(([key, item]) => `${key}=${textOf(item)}`)
    .join(',');
}

/** Go's: not false, 0, nothing, or empty. */
export function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}
