/** All endpoints, found by name, address, container's id, network or host. */
import { useMemo } from 'preact/hooks';
import { filterEndpoints } from '../core/page/search.ts';
import { rows, table, watch } from './cluster.ts';
import { EndpointTable } from './endpoint-table.tsx';
import { count, counted } from './parts.tsx';
import { replace, route } from './route.ts';

export function EndpointsView() {
  const all = rows('endpoints');
  const text = route.value.query.get('q') ?? '';
  const names = watch('hosts') + watch('networks');
  const found = useMemo(() => filterEndpoints(table, all, text), [all, text, names]);
  return (
    <div class="whole">
      <section aria-labelledby="endpoints-heading">
        <header class="bar">
          <h1 id="endpoints-heading">{counted(all.length, 'endpoint')}</h1>
          <input
            type="search"
            class="filter"
            aria-label="Filter by name, address, network, host or tool"
            placeholder="Filter: name, address, network, host …"
            value={text}
            onInput={({ currentTarget }) => replace('endpoints', '', { q: currentTarget.value })}
          />
          <span role="status" class="faint">
            {text !== '' && `${count(found.length)} found`}
          </span>
        </header>
        <EndpointTable
          label="Endpoints"
          endpoints={found}
          empty={text === '' ? 'Nothing is connected to any network yet.' : 'Nothing has these words.'}
        />
      </section>
    </div>
  );
}
