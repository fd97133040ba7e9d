import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Host } from '../lab/host.ts';
import { startInside } from '../lab/inside-process.ts';
import type { StreamResult, StreamTarget } from './programs/question-stream.ts';

const PROGRAM = fileURLToPath(new URL('programs/question-stream.ts', import.meta.url));

/** Questions from containers of the host at a steady rate; see `programs/question-stream.ts`. */
export interface QuestionStream {
  /** Asks so many questions, and tells what became of them. */
  count(questions: number): Promise<StreamResult>;
  /** Asks until `end`. */
  begin(): void;
  /** How many targets' last questions have no answer; between `begin` and `end`. */
  missing(): Promise<number>;
  end(): Promise<StreamResult>;
  close(): void;
}

/** Resolves when every target has answered. `rate`: questions a second, over all targets. */
export async function openQuestionStream(
  host: Host,
  targets: readonly StreamTarget[],
  rate: number,
): Promise<QuestionStream> {
  const file = join(host.directory, 'questions.json');
  writeFileSync(file, JSON.stringify(targets));
  const program = await startInside(host, ['node', PROGRAM, file, String(rate)]);
  const result = async () => JSON.parse(await program.line()) as StreamResult;
  return {
    count(questions) {
      program.order(`count ${questions}`);
      return result();
    },
    begin: () => program.order('begin'),
    async missing() {
      program.order('missing');
      return Number(await program.line());
    },
    end() {
      program.order('end');
      return result();
    },
    close: () => program.end(),
  };
}
