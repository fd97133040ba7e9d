/** One endpoint out of all, by whatever it has of names and addresses. */
import { useMemo, useState } from 'preact/hooks';
import type { EndpointRow } from '../core/page/contract.ts';
import { filterEndpoints } from '../core/page/search.ts';
import { row, rows, table, watch } from './cluster.ts';
import { Combobox } from './combobox.tsx';
import { placeOf } from './search-box.tsx';

const MOST = 12;

interface Props {
  readonly label: string;
  /** Id; empty: none is chosen yet. */
  readonly chosen: string;
  readonly onChoose: (id: string) => void;
}

export function EndpointPicker({ label, chosen, onChoose }: Props) {
  const [text, setText] = useState<string | undefined>(undefined);
  const [isOpen, setOpen] = useState(false);
  const all = rows('endpoints');
  const ticks = watch('hosts') + watch('networks');
  const found = useMemo(
    () => (isOpen ? filterEndpoints(table, all, text ?? '').slice(0, MOST) : []),
    [all, text, isOpen, ticks],
  );
  const picked = row('endpoints', chosen);
  const words = picked ? describe(picked) : '';
  return (
    <div class="field">
      <span aria-hidden="true">{label}</span>
      <Combobox
        label={label}
        placeholder="Name, address, network, host …"
        text={text ?? words}
        {...{ isOpen, setOpen, found }}
        onText={setText}
        idOf={({ id }) => id}
        onChoose={(endpoint) => {
          if (!endpoint) return;
          setText(undefined);
          onChoose(endpoint.id);
        }}
        show={(endpoint) => (
          <>
            <strong>{endpoint.name}</strong>{' '}
            <span class="address faint">{placeOf({ kind: 'endpoint', row: endpoint })}</span>
          </>
        )}
      />
    </div>
  );
}

export function describe(endpoint: EndpointRow): string {
  return `${endpoint.name} – ${placeOf({ kind: 'endpoint', row: endpoint })}`;
}
