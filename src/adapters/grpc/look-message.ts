/** What is looked at, and what was seen, as messages. Of what another member says no more is taken than one of ours says. */
import type { Look, Seen, SeenThing } from '../../core/look.ts';
import type { LookQuery, Seen as SeenMessage } from '../../gen/overlayd/v1/look.ts';

const MOST_THINGS = 10;
const MOST_ANSWERS = 500;
const MOST_TEXT = 2_000;

export function lookMessage({ name, ...look }: Look): LookQuery {
  return { ...look, name: name && { ...name } };
}

export function lookOf({ name, ...look }: LookQuery): Look {
  return { ...look, name };
}

export function seenMessage({ things, name }: Seen): SeenMessage {
  return {
    things: things.map((thing) => ({ ...thing })),
    name: name && { ...name, answers: name.answers.map((answer) => ({ ...answer })) },
  };
}

export function heardSeen({ things, name }: SeenMessage): Seen {
  return {
    things: things.slice(0, MOST_THINGS).map(({ name: what, outcome, detail }) => ({
      ...{ name: cut(what), outcome: outcomeOf(outcome), detail: cut(detail) },
    })),
    name: name && {
      ...{ code: cut(name.code), tookMs: name.tookMs, from: cut(name.from) },
      answers: name.answers.slice(0, MOST_ANSWERS).map(({ type, ttlSeconds, value }) => ({
        ...{ type: cut(type), ttlSeconds, value: cut(value) },
      })),
    },
  };
}

/** A word of another release says nothing. */
function outcomeOf(text: string): SeenThing['outcome'] {
  return text === 'ok' || text === 'problem' ? text : 'skipped';
}

function cut(text: string): string {
  return text.slice(0, MOST_TEXT);
}
