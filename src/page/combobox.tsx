/** An input with what it finds below it: a combobox with a list (WAI-ARIA 1.2). */
import type { ComponentChildren, RefObject, TargetedKeyboardEvent } from 'preact';
import { useId, useState } from 'preact/hooks';

interface Props<T> {
  readonly label: string;
  readonly placeholder: string;
  readonly text: string;
  readonly onText: (text: string) => void;
  /** What fits the text. Empty: nothing does. */
  readonly found: readonly T[];
  readonly idOf: (item: T) => string;
  readonly show: (item: T) => ComponentChildren;
  /** Undefined: Enter was pressed while nothing was found. */
  readonly onChoose: (item: T | undefined) => void;
  readonly isOpen: boolean;
  readonly setOpen: (isOpen: boolean) => void;
  readonly field?: RefObject<HTMLInputElement | null>;
}

export function Combobox<T>({ label, placeholder, text, onText, found, idOf, show, onChoose, ...props }: Props<T>) {
  const { isOpen, setOpen, field } = props;
  const [active, setActive] = useState(0);
  const name = useId();
  const shown = isOpen ? found : [];
  const choose = (item: T | undefined) => {
    setOpen(false);
    setActive(0);
    onChoose(item);
  };
  const press = (event: TargetedKeyboardEvent<HTMLInputElement>) => {
    if (event.key === 'ArrowDown' && !isOpen) setOpen(true);
    else if (event.key === 'ArrowDown') setActive(Math.min(shown.length - 1, active + 1));
    else if (event.key === 'ArrowUp') setActive(Math.max(0, active - 1));
    else if (event.key === 'Enter') choose(shown[active]);
    else if (event.key === 'Escape') setOpen(false);
    else return;
    event.preventDefault();
  };
  return (
    <div class="combobox">
      <input
        {...(field && { ref: field })}
        type="search"
        list={undefined}
        role="combobox"
        aria-label={label}
        aria-expanded={shown.length > 0}
        aria-controls={`${name}-list`}
        aria-autocomplete="list"
        aria-activedescendant={shown.length > 0 ? `${name}-${active}` : undefined}
        autocomplete="off"
        placeholder={placeholder}
        value={text}
        onInput={({ currentTarget }) => {
          setActive(0);
          setOpen(true);
          onText(currentTarget.value);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={press}
      />
      <div class="nothing" role="status">
        {isOpen && text.trim() !== '' && found.length === 0 && <p>Nothing has these words.</p>}
      </div>
      <ul id={`${name}-list`} role="listbox" aria-label={`Found for: ${label}`} hidden={shown.length === 0}>
        {shown.map((item, at) => (
          <li
            key={idOf(item)}
            id={`${name}-${at}`}
            role="option"
            aria-selected={at === active}
            // Before the input loses the focus.
            onMouseDown={(event) => {
              event.preventDefault();
              choose(item);
            }}
          >
            {show(item)}
          </li>
        ))}
      </ul>
    </div>
  );
}
