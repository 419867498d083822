// The frame of a page: its heading, a way back, and what to say while there is nothing to show.
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { enter, goingBack } from "../focus";
import { t } from "../i18n";
import type { Resource } from "../resource";
import { Icon } from "./Icon";

interface PageProps {
  title: string;
  back?: string;
  actions?: ComponentChildren;
  children: ComponentChildren;
  kind?: string;
}

/** Of the pages beside each other, the last one names the tab. */
const titles: string[] = [];

function named(title: string): () => void {
  titles.push(title);
  name();
  return () => {
    titles.splice(titles.lastIndexOf(title), 1);
    name();
  };
}

function name(): void {
  document.title = [titles.at(-1), "meshnode"].filter(Boolean).join(" · ");
}

export function Page({ title, back, actions, children, kind = "" }: PageProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => named(title), [title]);
  // A screen reader hears where it has come to, and the next Tab, however soon, leads into the page.
  useLayoutEffect(() => enter(heading.current!), []);
  return (
    <section class={`page ${kind}`}>
      <header class="page-head">
        {back && (
          <a class="button quiet square" href={back} aria-label={t("nav.back")} onClick={goingBack}>
            <Icon name="back" />
          </a>
        )}
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {actions && <div class="page-actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}

/** What stands in for a list while it is fetched, was refused, or is empty. */
export function Waiting({ of }: { of: Resource<unknown> }) {
  if (of.refusal.value) {
    return (
      <p class="notice warn" role="status">
        {of.refusal.value.message}
      </p>
    );
  }
  return of.value.value === null ? <p class="muted pad">{t("page.loading")}</p> : null;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}
