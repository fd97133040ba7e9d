/** The flags of Node.js with which the launcher's text starts a program. Throws when it does not start it. */
export function launchFlags(launcher: string, program: string): string[] {
  const found = new RegExp(`exec "\\$node" (.*) "\\$dist/lib/${program}\\.cjs"`).exec(launcher);
  if (!found) throw new Error(`the launcher does not start ${program}.cjs`);
  return found[1]!.split(' ');
}
