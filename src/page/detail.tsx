/** What is beside a list, of the one that is chosen in it. Escape closes it, and the list has the focus again. */
import type { ComponentChildren } from 'preact';
import { open, type View } from './route.ts';

interface Props {
  readonly name: string;
  /** Behind the name. */
  readonly tags: ComponentChildren;
  /** Where the list is. */
  readonly list: View;
  readonly children: ComponentChildren;
}

export function Detail({ name, tags, list, children }: Props) {
  const close = () => {
    document.querySelector<HTMLElement>('main [tabindex="0"]')?.focus();
    open(list);
  };
  return (
    <aside
      class="detail"
      aria-labelledby="detail-name"
      onKeyDown={({ key }) => {
        if (key === 'Escape') close();
      }}
    >
      <header class="bar">
        <h2 id="detail-name">{name}</h2>
        {tags}
        <button type="button" class="close" aria-label="Close" onClick={close}>
          ✕
        </button>
      </header>
      {children}
    </aside>
  );
}
