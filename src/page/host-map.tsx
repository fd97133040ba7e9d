/** All hosts at once, each a tile with the state of the path to it: cards while they are few, squares when they are many. */
import type { TargetedKeyboardEvent } from 'preact';
import { useRef, useState } from 'preact/hooks';
import type { HostRow } from '../core/page/contract.ts';
import { healthOf } from '../core/page/health.ts';
import { row } from './cluster.ts';
import { Mark, milliseconds } from './parts.tsx';
import { open } from './route.ts';

/** More of them would need scrolling to be seen at once. */
const MOST_CARDS = 40;

export function HostMap({ hosts, chosen }: { hosts: readonly HostRow[]; chosen: string }) {
  const list = useRef<HTMLDivElement>(null);
  const asCards = hosts.length <= MOST_CARDS;
  /** The tile that had the focus last: Tab leads back to it. */
  const [last, setLast] = useState('');
  const isShown = (wanted: string) => hosts.some(({ name }) => name === wanted);
  const focused = [last, chosen].find(isShown) ?? hosts[0]?.name;
  const press = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    const tiles = [...list.current!.querySelectorAll<HTMLElement>('.tile')];
    const at = tiles.indexOf(document.activeElement as HTMLElement);
    if (at === -1) return;
    const inRow = tiles.filter(({ offsetTop }) => offsetTop === tiles[0]!.offsetTop).length;
    const steps: Readonly<Record<string, number>> = {
      ...{ ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + inRow, ArrowUp: at - inRow },
      ...{ Home: 0, End: tiles.length - 1 },
    };
    const to = steps[event.key];
    if (to === undefined) return;
    event.preventDefault();
    tiles[Math.max(0, Math.min(tiles.length - 1, to))]?.focus();
  };
  return (
    <div
      class={asCards ? 'map cards' : 'map squares'}
      role="listbox"
      aria-label="Hosts, and the paths to them"
      ref={list}
      onKeyDown={press}
    >
      {hosts.map((host) => (
        <Tile
          key={host.id}
          host={host}
          asCard={asCards}
          isChosen={host.name === chosen}
          isFocus={host.name === focused}
          onFocus={() => setLast(host.name)}
        />
      ))}
    </div>
  );
}

interface TileProps {
  readonly host: HostRow;
  readonly asCard: boolean;
  readonly isChosen: boolean;
  readonly isFocus: boolean;
  readonly onFocus: () => void;
}

function Tile({ host, asCard, isChosen, isFocus, onFocus }: TileProps) {
  const path = row('paths', host.id);
  const { tone, words } = healthOf(host, path);
  return (
    <button
      type="button"
      class={`tile ${tone}`}
      role="option"
      aria-selected={isChosen}
      aria-label={asCard ? undefined : `${host.name}: ${words}`}
      title={asCard ? undefined : `${host.name}: ${words}`}
      tabIndex={isFocus ? 0 : -1}
      onFocus={onFocus}
      onClick={() => open('hosts', host.name)}
    >
      <Mark tone={tone} />
      {asCard && (
        <>
          <strong>{host.name}</strong>
          <span class="address">{host.address}</span>
          <span class="words">{words}</span>
          {path && !host.self && (
            <span class="figures">
              {milliseconds(path.roundTripMs)}
              {path.mtu > 0 && ` · MTU ${path.mtu}`}
              {path.lossPercent > 0 && ` · ${path.lossPercent} % lost`}
            </span>
          )}
        </>
      )}
    </button>
  );
}
