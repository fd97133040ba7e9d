/** Which view is shown: the part of the address behind `#`, so that back, forward and bookmarks work. */
import { computed, signal } from '@preact/signals';

export const VIEWS = ['hosts', 'networks', 'endpoints', 'reach', 'names', 'drift', 'events'] as const;
export type View = (typeof VIEWS)[number];

export interface Route {
  readonly view: View;
  /** What is shown of it; empty: nothing of its own. */
  readonly item: string;
  readonly query: URLSearchParams;
}

const hash = signal(location.hash);
addEventListener('hashchange', () => {
  hash.value = location.hash;
});

export const route = computed((): Route => {
  const [path = '', query = ''] = hash.value.replace(/^#\/?/, '').split('?', 2);
  const [view = '', item = ''] = path.split('/');
  const known = VIEWS.find((each) => each === view) ?? 'hosts';
  return { view: known, item: decoded(item), query: new URLSearchParams(query) };
});

/** As it stands, where it was mangled on its way. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function linkTo(view: View, item = '', query: Readonly<Record<string, string>> = {}): string {
  const asked = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== '')).toString();
  return `#/${view}${item === '' ? '' : `/${encodeURIComponent(item)}`}${asked === '' ? '' : `?${asked}`}`;
}

export function open(...to: Parameters<typeof linkTo>): void {
  location.hash = linkTo(...to);
}

/** Without a step to go back to: for what is typed. */
export function replace(...to: Parameters<typeof linkTo>): void {
  history.replaceState(null, '', linkTo(...to));
  hash.value = location.hash;
}
