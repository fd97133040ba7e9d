/** What a name is answered with, by the responder that a container would ask. */
import { useState } from 'preact/hooks';
import type { NameAnswered } from '../core/page/contract.ts';
import { useAnswer } from './answer.ts';
import { endpointsOf, row, rows } from './cluster.ts';
import { Mark } from './parts.tsx';
import { ask } from './server.ts';

const TYPES = ['A', 'AAAA', 'PTR', 'SRV', 'CNAME', 'TXT'];

export function NamesView() {
  const networks = rows('networks');
  const [network, setNetwork] = useState('');
  const [host, setHost] = useState('');
  const [name, setName] = useState('');
  const [type, setType] = useState('A');
  const chosen = networks.find(({ id }) => id === network) ?? networks[0];
  const onIt = [...new Set(endpointsOf('network', chosen?.id ?? '').map((endpoint) => endpoint.host))];
  const hosts = onIt.flatMap((id) => row('hosts', id) ?? []);
  const askedHost = hosts.find(({ id }) => id === host) ?? hosts.find(({ self }) => self) ?? hosts[0];
  const question = { network: chosen?.id, host: askedHost?.id, name: name.trim(), type };
  const [answer, take] = useAnswer<NameAnswered>(JSON.stringify(question));
  const isReady = chosen !== undefined && askedHost !== undefined && question.name !== '';
  const go = () => take(ask<NameAnswered>('api/name', question));
  return (
    <div class="whole">
      <section aria-labelledby="names-heading" class="scrolls">
        <header class="bar">
          <h1 id="names-heading">Ask for a name</h1>
        </header>
        <p class="hint">
          The responder of the network is asked on the host that you choose, as a container there would.
        </p>
        <form
          class="fields"
          onSubmit={(event) => {
            event.preventDefault();
            if (isReady) go();
          }}
        >
          <label class="field">
            Network
            <select
              aria-label="Network"
              value={chosen?.id ?? ''}
              onChange={({ currentTarget }) => setNetwork(currentTarget.value)}
            >
              {networks.map(({ id, name: text }) => (
                <option key={id} value={id}>
                  {text}
                </option>
              ))}
            </select>
          </label>
          <label class="field">
            Host
            <select
              aria-label="Host"
              value={askedHost?.id ?? ''}
              onChange={({ currentTarget }) => setHost(currentTarget.value)}
            >
              {hosts.map(({ id, name: text }) => (
                <option key={id} value={id}>
                  {text}
                </option>
              ))}
            </select>
          </label>
          <label class="field wide">
            Name or address
            <input type="text" value={name} onInput={({ currentTarget }) => setName(currentTarget.value)} />
          </label>
          <label class="field narrow">
            Type
            <select aria-label="Type" value={type} onChange={({ currentTarget }) => setType(currentTarget.value)}>
              {TYPES.map((each) => (
                <option key={each}>{each}</option>
              ))}
            </select>
          </label>
          <button type="submit" class="main" disabled={!isReady || answer === 'asked'}>
            {answer === 'asked' ? 'Asking…' : 'Ask'}
          </button>
        </form>
        {chosen && hosts.length === 0 && (
          <p class="hint">No host has a container on {chosen.name}: nobody answers there.</p>
        )}
        <div aria-live="polite">
          {answer instanceof Error && <p class="refused">{answer.message}</p>}
          {answer && answer !== 'asked' && !(answer instanceof Error) && <Answer answer={answer} />}
        </div>
      </section>
    </div>
  );
}

function Answer({ answer: { outcome, detail, reply } }: { answer: NameAnswered }) {
  if (!reply) return <p class={outcome === 'problem' ? 'refused' : 'hint'}>{detail}</p>;
  return (
    <>
      <p>
        <Mark tone={reply.code === 'NOERROR' ? 'good' : 'warning'} /> {reply.code} from{' '}
        <span class="address">{reply.from}</span>
        {reply.answers.length === 0 && reply.code === 'NOERROR' && ', without records of that type'}
      </p>
      {reply.answers.length > 0 && (
        <table class="plain">
          <thead>
            <tr>
              <th scope="col">Type</th>
              <th scope="col">Answer</th>
              <th scope="col">TTL</th>
            </tr>
          </thead>
          <tbody>
            {reply.answers.map(({ type, value, ttlSeconds }) => (
              <tr key={value}>
                <td>{type}</td>
                <td class="address">{value}</td>
                <td>{ttlSeconds} s</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}
