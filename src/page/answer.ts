/** What was asked for, as long as it is of what is chosen. */
import { useState } from 'preact/hooks';

export type Answer<T> = T | 'asked' | Error | undefined;

/** `subject`: what is chosen. What was asked of another one is not shown, nor what comes late to a question before the last. */
export function useAnswer<T>(subject: string): readonly [Answer<T>, (asked: Promise<T>) => void] {
  const [held, hold] = useState<{ readonly subject: string; readonly answer: Answer<T> } | undefined>(undefined);
  const go = (asked: Promise<T>) => {
    const question = { subject, answer: 'asked' as const };
    hold(question);
    const take = (answer: T | Error) => hold((now) => (now === question ? { subject, answer } : now));
    asked.then(take, take);
  };
  return [held?.subject === subject ? held.answer : undefined, go];
}
