/** Search over everything, from everywhere: `/` leads here. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { type Hit, search } from '../core/page/search.ts';
import { table, watch } from './cluster.ts';
import { Combobox } from './combobox.tsx';
import { linkTo, open } from './route.ts';

const MOST_OF_KIND = 6;

export function SearchBox() {
  const [text, setText] = useState('');
  const [isOpen, setOpen] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const ticks = isOpen ? watch('hosts') + watch('networks') + watch('endpoints') : 0;
  const hits = useMemo(() => (isOpen ? search(table, text, MOST_OF_KIND) : []), [text, isOpen, ticks]);

  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      const { tagName } = event.target as HTMLElement;
      if (event.key !== '/' || event.ctrlKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA)$/.test(tagName)) return;
      event.preventDefault();
      field.current?.focus();
    };
    document.addEventListener('keydown', focus);
    return () => document.removeEventListener('keydown', focus);
  }, []);

  const choose = (hit: Hit | undefined) => {
    if (hit) location.hash = linkOf(hit);
    else if (text.trim() !== '') open('endpoints', '', { q: text });
    setText('');
    field.current?.blur();
  };
  return (
    <search class="search">
      <Combobox
        label="Search hosts, networks and endpoints"
        placeholder="Search name, address, container …  ( / )"
        {...{ text, isOpen, setOpen, field }}
        onText={setText}
        found={hits}
        idOf={({ kind, row }) => kind + row.id}
        onChoose={choose}
        show={(hit) => (
          <>
            <span class="kind">{hit.kind}</span> <strong>{hit.row.name}</strong>{' '}
            <span class="address faint">{placeOf(hit)}</span>
          </>
        )}
      />
    </search>
  );
}

function linkOf({ kind, row }: Hit): string {
  if (kind === 'host') return linkTo('hosts', row.name);
  if (kind === 'network') return linkTo('networks', row.name);
  const network = table.get('networks', row.network)?.name ?? '';
  return linkTo('endpoints', '', { q: `${row.name} ${network} ${row.addresses[0] ?? ''}`.trim() });
}

export function placeOf({ kind, row }: Hit): string {
  if (kind === 'host') return row.address;
  if (kind === 'network') return row.subnets.map(({ cidr }) => cidr).join(' ');
  const network = table.get('networks', row.network)?.name ?? '';
  const host = table.get('hosts', row.host)?.name ?? '';
  return `${row.addresses.join(' ')} on ${network}, ${host}`;
}
