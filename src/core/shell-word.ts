/** As one word of sh, and of every other shell that may be a user's. Pure. */
export function quoteWord(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
