/** Prints the demo: what is typed, what it answers, how long it took. Colours on terminals only. */
export class Narrator {
  readonly #colours = process.stdout.isTTY === true && process.env.NO_COLOR === undefined;
  readonly #started = performance.now();
  #steps = 0;
  #failed = false;

  chapter(title: string): void {
    console.log(`\n${this.#paint('1;36', `== ${title}`)}`);
  }

  /** A line as a person types it, then its output. */
  async command(line: string, run: () => Promise<string>): Promise<string> {
    const { value, took } = await this.#time(run);
    console.log(`${this.#paint('1', line)}  ${this.#paint('2', `[${took}]`)}`);
    if (value !== '') console.log(value.replace(/^/gm, '    '));
    return value;
  }

  /** Something that has to become true. */
  async check<T>(what: string, run: () => Promise<T>): Promise<T> {
    const { value, took } = await this.#time(run);
    console.log(`${this.#paint('32', 'ok')} ${what}  ${this.#paint('2', `[${took}]`)}`);
    return value;
  }

  failure(error: Error): void {
    this.#failed = true;
    console.error(`\n${this.#paint('1;31', 'FAILED')} ${error.message}`);
  }

  summary(): void {
    const seconds = ((performance.now() - this.#started) / 1000).toFixed(1);
    const result = this.#failed ? this.#paint('1;31', 'FAILED') : this.#paint('32', 'as it should be');
    console.log(`\n${this.#steps} steps in ${seconds} s: ${result}`);
  }

  async #time<T>(run: () => Promise<T>): Promise<{ value: T; took: string }> {
    const start = performance.now();
    const value = await run();
    this.#steps++;
    return { value, took: `${Math.round(performance.now() - start)} ms` };
  }

  #paint(code: string, text: string): string {
    return this.#colours ? `\u001b[${code}m${text}\u001b[0m` : text;
  }
}
