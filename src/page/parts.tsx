/** Small pieces that all views are made of. */
import { type ComponentChildren, Fragment } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { SubnetRow } from '../core/page/contract.ts';
import { fillOf, fillTone, type Tone } from '../core/page/health.ts';

/** Each tone has a shape of its own: colour alone is not for everybody. */
const SHAPES: Readonly<Record<Tone, string>> = { good: '●', warning: '▲', bad: '✕', unknown: '○' };

export function Mark({ tone }: { tone: Tone }) {
  return (
    <span class={`mark ${tone}`} aria-hidden="true">
      {SHAPES[tone]}
    </span>
  );
}

export function State({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class="state">
      <Mark tone={tone} /> {children}
    </span>
  );
}

export function Tag({ children }: { children: ComponentChildren }) {
  return <span class="tag">{children}</span>;
}

export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Labels({ labels }: { labels: Readonly<Record<string, string>> }) {
  const all = Object.entries(labels);
  if (all.length === 0) return <span class="faint">none</span>;
  return (
    <>
      {all.map(([key, value]) => (
        <Fragment key={key}>
          <Tag>{value === '' ? key : `${key}=${value}`}</Tag>{' '}
        </Fragment>
      ))}
    </>
  );
}

/** How full a subnet is. */
export function Use({ subnet, label }: { subnet: Pick<SubnetRow, 'total' | 'free'>; label: string }) {
  const fill = fillOf(subnet);
  const percent = Math.round(fill * 100);
  const text = percent === 0 && fill > 0 ? '<1 %' : `${percent} %`;
  return (
    <span class="use">
      <meter class={fillTone(fill)} min={0} max={1} value={fill} aria-label={`${label}: ${text} used`} />
      <span class="number">{text}</span>
    </span>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

const NUMBERS = new Intl.NumberFormat('en');

export function count(number: number): string {
  // As much as a number counts exactly: a /64 holds more.
  return number >= Number.MAX_SAFE_INTEGER ? 'over 9 × 10¹⁵' : NUMBERS.format(number);
}

export function counted(number: number, one: string, many = `${one}s`): string {
  return `${count(number)} ${number === 1 ? one : many}`;
}

export function milliseconds(ms: number): string {
  return ms === 0 ? '–' : `${ms} ms`;
}

const MOMENT = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

export function Moment({ at }: { at: number }) {
  if (at === 0) return <span class="faint">never</span>;
  return <time dateTime={new Date(at).toISOString()}>{MOMENT.format(at)}</time>;
}

/** How long ago, kept in step. */
export function Ago({ at }: { at: number }) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 10_000);
    return () => clearInterval(timer);
  }, []);
  if (at === 0) return <span class="faint">never</span>;
  return (
    <time dateTime={new Date(at).toISOString()} title={MOMENT.format(at)}>
      {agoText(now - at)}
    </time>
  );
}

const UNITS = [
  [86_400_000, 'day'],
  [3_600_000, 'hour'],
  [60_000, 'minute'],
] as const;

function agoText(ms: number): string {
  for (const [size, unit] of UNITS) {
    if (ms >= size) return `${counted(Math.floor(ms / size), unit)} ago`;
  }
  return 'just now';
}
