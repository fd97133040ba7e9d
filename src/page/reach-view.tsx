/** Why can A not reach B: a walk from one to the other, each step looked at now. */
import type { ReachStep, Walk } from '../core/page/contract.ts';
import type { Tone } from '../core/page/health.ts';
import { useAnswer } from './answer.ts';
import { row } from './cluster.ts';
import { EndpointPicker } from './endpoint-picker.tsx';
import { Mark } from './parts.tsx';
import { replace, route } from './route.ts';
import { ask } from './server.ts';

export const OUTCOMES: Readonly<Record<ReachStep['outcome'], readonly [Tone, string]>> = {
  ok: ['good', 'well'],
  problem: ['bad', 'problem'],
  skipped: ['unknown', 'not looked at'],
};

export function ReachView() {
  const { query } = route.value;
  const [from, to] = [query.get('from') ?? '', query.get('to') ?? ''];
  const [walk, take] = useAnswer<Walk>(`${from} ${to}`);
  const go = () => take(ask<Walk>('api/reach', { from, to }));
  const isReady = row('endpoints', from) !== undefined && row('endpoints', to) !== undefined && from !== to;
  return (
    <div class="whole">
      <section aria-labelledby="reach-heading" class="scrolls">
        <header class="bar">
          <h1 id="reach-heading">Why can A not reach B?</h1>
        </header>
        <p class="hint">Each step is looked at now, on the hosts of both. It changes nothing.</p>
        <form
          class="fields"
          onSubmit={(event) => {
            event.preventDefault();
            if (isReady) go();
          }}
        >
          <EndpointPicker label="From" chosen={from} onChoose={(id) => replace('reach', '', { from: id, to })} />
          <EndpointPicker label="To" chosen={to} onChoose={(id) => replace('reach', '', { from, to: id })} />
          <button type="submit" class="main" disabled={!isReady || walk === 'asked'}>
            {walk === 'asked' ? 'Walking…' : 'Walk'}
          </button>
          <button type="button" disabled={!isReady} onClick={() => replace('reach', '', { from: to, to: from })}>
            Swap
          </button>
        </form>
        <div aria-live="polite">
          {walk instanceof Error && <p class="refused">{walk.message}</p>}
          {walk && walk !== 'asked' && !(walk instanceof Error) && <Steps walk={walk} />}
        </div>
      </section>
    </div>
  );
}

function Steps({ walk: { steps } }: { walk: Walk }) {
  const problems = steps.filter(({ outcome }) => outcome === 'problem');
  const named = problems.map(({ name, host }) => (host === '' ? name : `${name} (${host})`)).join(', ');
  return (
    <>
      <p class={problems.length > 0 ? 'verdict refused' : 'verdict well'}>
        <Mark tone={problems.length > 0 ? 'bad' : 'good'} />{' '}
        {problems.length === 0
          ? 'Nothing stands between them.'
          : problems.length === 1
            ? `One thing is wrong: ${named}.`
            : `${problems.length} things are wrong: ${named}.`}
      </p>
      <ol class="steps">
        {steps.map(({ name, host, outcome, detail }, at) => {
          const [tone, words] = OUTCOMES[outcome];
          return (
            <li key={at} class={outcome}>
              <Mark tone={tone} />
              <span class="hidden">{words}: </span>
              <strong>{name}</strong>
              <span class="faint">{host}</span>
              <p>{detail}</p>
            </li>
          );
        })}
      </ol>
    </>
  );
}
