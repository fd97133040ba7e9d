/** One host: who it is, how the path to it is, what runs there. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { HostRow, PathRow } from '../core/page/contract.ts';
import { healthOf, type Tone } from '../core/page/health.ts';
import { endpointsOf, row } from './cluster.ts';
import { Detail } from './detail.tsx';
import { EndpointTable } from './endpoint-table.tsx';
import { Ago, counted, Facts, Labels, Moment, milliseconds, State, Tag } from './parts.tsx';
import { ask } from './server.ts';

export function HostDetail({ host }: { host: HostRow }) {
  const path = row('paths', host.id);
  const endpoints = endpointsOf('host', host.id);
  const { tone, words } = healthOf(host, path);
  return (
    <Detail name={host.name} list="hosts" tags={<Tags host={host} />}>
      <p>
        <State tone={tone}>{words}</State>
      </p>
      {path && !host.self && <Facts facts={pathFacts(path)} />}
      <Facts
        facts={[
          ['Address', <span class="address">{host.address}</span>],
          ['Version', host.version || 'not said'],
          ['MTU of its underlay', String(host.mtu)],
          ['Joined', <Moment at={host.joinedAt} />],
          ['Labels', <Labels labels={host.labels} />],
        ]}
      />
      {!host.self && !host.left && <LookNow peer={host.name} />}
      <h3>{counted(endpoints.length, 'endpoint')}</h3>
      <EndpointTable
        label={`Endpoints on ${host.name}`}
        endpoints={endpoints}
        without="host"
        empty="Nothing is connected here."
      />
    </Detail>
  );
}

function Tags({ host: { nat, store } }: { host: HostRow }) {
  return (
    <>
      {store !== '' && <Tag>{store === 'keeper' ? 'keeps the store' : 'copy of the store'}</Tag>}
      {nat && <Tag>behind NAT</Tag>}
    </>
  );
}

const CONTROL: Readonly<Record<PathRow['control'], Tone>> = {
  ...{ ready: 'good', restarting: 'warning', suspect: 'warning', down: 'bad' },
};
const DATA: Readonly<Record<PathRow['path'], readonly [Tone, string]>> = {
  ...{ passes: ['good', 'passes'], loses: ['warning', 'loses packets'], lost: ['bad', 'lost'] },
  unknown: ['unknown', 'not tried yet'],
};

function pathFacts(path: PathRow): readonly (readonly [string, ComponentChildren])[] {
  const [tone, words] = DATA[path.path];
  return [
    ['Control', <State tone={CONTROL[path.control]}>{path.control}</State>],
    ['Data path', <State tone={tone}>{words}</State>],
    ['Loss', `${path.lossPercent} %`],
    ['Round trip', milliseconds(path.roundTripMs)],
    ['MTU that passes', path.mtu === 0 ? 'not known' : String(path.mtu)],
    ['Last change', <Ago at={path.changedAt} />],
    ...(path.tunnel === undefined
      ? []
      : [['WireGuard', <State tone={path.tunnel ? 'warning' : 'good'}>{path.tunnel || 'well'}</State>] as const]),
  ];
}

interface Diagnosis {
  readonly checks: readonly { readonly name: string; readonly outcome: string; readonly detail: string }[];
  readonly findings: readonly { readonly code: string; readonly text: string; readonly mend: string }[];
}

const OUTCOMES: Readonly<Record<string, Tone>> = { ok: 'good', problem: 'bad', skipped: 'unknown' };

/** What `overlayd doctor --peer` says. */
function LookNow({ peer }: { peer: string }) {
  const [state, setState] = useState<Diagnosis | 'looking' | Error | undefined>(undefined);
  const look = () => {
    setState('looking');
    ask<Diagnosis>('api/diagnose', { peer }).then(setState, setState);
  };
  return (
    <section aria-live="polite">
      <button type="button" disabled={state === 'looking'} onClick={look}>
        {state === 'looking' ? 'Looking…' : 'Look at the way to it now'}
      </button>
      {state instanceof Error && <p class="refused">{state.message}</p>}
      {state && state !== 'looking' && !(state instanceof Error) && (
        <>
          <ul class="checks">
            {state.checks.map(({ name, outcome, detail }) => (
              <li key={name}>
                <State tone={OUTCOMES[outcome] ?? 'unknown'}>{name}</State> <span class="faint">{detail}</span>
              </li>
            ))}
          </ul>
          {state.findings.map(({ code, text, mend }) => (
            <p key={text} class="refused">
              {text}. Mend: {mend}. <span class="faint">{code}</span>
            </p>
          ))}
        </>
      )}
    </section>
  );
}
