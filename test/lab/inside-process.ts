import { createInterface } from 'node:readline';
import { type Host, PATH } from './host.ts';
import { start } from './process.ts';

/** A program of the tests in a host. It takes orders on standard input, whose end is its own, and answers in lines. */
export interface InsideProcess {
  /** The next line that it says. */
  line(): Promise<string>;
  order(text: string): void;
  end(): void;
}

/** Resolves when the program has said "ready". */
export async function startInside(host: Pick<Host, 'enter'>, argv: readonly string[]): Promise<InsideProcess> {
  const env = { ...process.env, PATH };
  const child = start(host.enter(argv), { stdio: ['pipe', 'pipe', 'inherit'], env });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const line = async () => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`${argv.join(' ')} ended`);
    return value;
  };
  await line();
  return { line, order: (text) => child.stdin!.write(`${text}\n`), end: () => child.stdin!.end() };
}
