/**
 * A table of any length: those rows alone are there that are seen. It is a grid to screen readers (WAI-ARIA 1.2), and takes the keys of
 * one: arrows, Page Up and Down, Home, End, Enter.
 */
import type { ComponentChildren, TargetedKeyboardEvent } from 'preact';
import { useId, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';

export interface Column<T> {
  readonly heading: string;
  readonly cell: (row: T) => ComponentChildren;
  /** As `grid-template-columns` has it. */
  readonly width: string;
  readonly order?: (a: T, b: T) => number;
  /** Numbers stand to the right. */
  readonly isNumber?: boolean;
}

interface Props<T> {
  readonly label: string;
  readonly columns: readonly Column<T>[];
  readonly rows: readonly T[];
  readonly idOf: (row: T) => string;
  readonly onOpen?: (row: T) => void;
  readonly chosen?: string | undefined;
  readonly empty: ComponentChildren;
}

const ROW = 36;
/** Above and below what is seen, so that a slow frame shows no gap. */
const SPARE = 8;

export function VirtualTable<T>({ label, columns, rows, idOf, onOpen, chosen, empty }: Props<T>) {
  const [sort, setSort] = useState<Sort>({ heading: '', descending: false });
  const [held, setHeld] = useState({ id: '', at: 0 });
  const [seen, setSeen] = useState({ top: 0, height: 600 });
  const body = useRef<HTMLDivElement>(null);
  const name = useId();
  /** The first row that is seen, and how much of it is above. */
  const top = useRef({ id: '', above: 0 });

  // Columns come and go with what is beside the table.
  const order = columns.find(({ heading }) => heading === sort.heading)?.order;
  const sorted = useMemo(() => {
    if (!order) return rows;
    return [...rows].sort(sort.descending ? (a, b) => order(b, a) : order);
  }, [rows, order, sort.descending]);

  useLayoutEffect(() => {
    const element = body.current!;
    const measure = () => setSeen({ top: element.scrollTop, height: element.clientHeight });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    measure();
    return () => observer.disconnect();
  }, []);
  // Rows come and go above: the one that is active stays so, and what is looked at stays where it is.
  const at = useMemo(() => sorted.findIndex((row) => idOf(row) === held.id), [sorted, held.id]);
  const active = at === -1 ? Math.max(0, Math.min(sorted.length - 1, held.at)) : at;
  const setActive = (to: number) => setHeld({ id: sorted[to] ? idOf(sorted[to]) : '', at: to });
  useLayoutEffect(() => {
    const element = body.current!;
    if (element.scrollTop === 0) return;
    const now = sorted.findIndex((row) => idOf(row) === top.current.id);
    if (now !== -1) element.scrollTop = now * ROW + top.current.above;
  }, [rows]);
  const scrolled = ({ scrollTop, clientHeight }: HTMLElement) => {
    const row = sorted[Math.floor(scrollTop / ROW)];
    top.current = { id: row ? idOf(row) : '', above: scrollTop % ROW };
    setSeen({ top: scrollTop, height: clientHeight });
  };
  const sortBy = (to: Sort) => {
    body.current!.scrollTop = 0;
    setSort(to);
  };

  const first = Math.max(0, Math.floor(seen.top / ROW) - SPARE);
  const last = Math.min(sorted.length, Math.ceil((seen.top + seen.height) / ROW) + SPARE);

  const move = (to: number) => {
    const at = Math.max(0, Math.min(sorted.length - 1, to));
    setActive(at);
    const element = body.current!;
    if (at * ROW < element.scrollTop) element.scrollTop = at * ROW;
    else if ((at + 1) * ROW > element.scrollTop + element.clientHeight) {
      element.scrollTop = (at + 1) * ROW - element.clientHeight;
    }
  };
  const page = Math.max(1, Math.floor(seen.height / ROW) - 1);
  const steps: Readonly<Record<string, number>> = {
    ...{ ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page },
    ...{ Home: 0, End: sorted.length - 1 },
  };
  const press = (event: TargetedKeyboardEvent<HTMLDivElement>) => {
    // Links and headings in it have keys of their own.
    if (event.target !== event.currentTarget) return;
    const to = steps[event.key];
    const row = sorted[active];
    if (to !== undefined) move(to);
    else if (event.key === 'Enter' && row !== undefined) onOpen?.(row);
    else return;
    event.preventDefault();
  };

  return (
    <div
      class="table"
      role="grid"
      aria-label={label}
      aria-rowcount={sorted.length + 1}
      aria-activedescendant={active >= first && active < last ? `${name}-${active}` : undefined}
      tabIndex={0}
      onKeyDown={press}
      style={{ '--columns': columns.map(({ width }) => width).join(' ') }}
    >
      <div class="head" role="row" aria-rowindex={1}>
        {columns.map((column) => (
          <Heading key={column.heading} column={column} sort={sort} setSort={sortBy} />
        ))}
      </div>
      <div class="body" role="rowgroup" ref={body} onScroll={({ currentTarget }) => scrolled(currentTarget)}>
        <div class="space" role="presentation" style={{ height: `${sorted.length * ROW}px` }}>
          {sorted.slice(first, last).map((row, offset) => {
            const at = first + offset;
            const id = idOf(row);
            return (
              <div
                key={id}
                id={`${name}-${at}`}
                class={`row${at === active ? ' active' : ''}${id === chosen ? ' chosen' : ''}${onOpen ? ' opens' : ''}`}
                role="row"
                aria-rowindex={at + 2}
                aria-selected={id === chosen}
                style={{ transform: `translateY(${at * ROW}px)` }}
                onClick={() => {
                  setActive(at);
                  onOpen?.(row);
                }}
              >
                {columns.map(({ heading, cell, isNumber }) => (
                  <div key={heading} role="gridcell" class={isNumber ? 'number' : undefined}>
                    {cell(row)}
                  </div>
                ))}
              </div>
            );
          })}
        </div>
        {sorted.length === 0 && <p class="empty">{empty}</p>}
      </div>
    </div>
  );
}

interface Sort {
  /** Of the column; empty: as the rows came. */
  readonly heading: string;
  readonly descending: boolean;
}

function Heading<T>({
  column: { heading, order, isNumber },
  sort,
  setSort,
}: {
  column: Column<T>;
  sort: Sort;
  setSort: (sort: Sort) => void;
}) {
  const sorted = sort.heading !== heading ? undefined : sort.descending ? 'descending' : 'ascending';
  return (
    <div role="columnheader" aria-sort={sorted} class={isNumber ? 'number' : undefined}>
      {order ? (
        <button type="button" class="sort" onClick={() => setSort({ heading, descending: sorted === 'ascending' })}>
          {heading}
          <span aria-hidden="true">{sorted === undefined ? '' : sorted === 'ascending' ? ' ↑' : ' ↓'}</span>
        </button>
      ) : (
        heading
      )}
    </div>
  );
}
