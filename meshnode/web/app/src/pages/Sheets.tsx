// Reflex sheets: found by words, shown in a frame that can run nothing and ask nobody.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask } from "../api";
import { t } from "../i18n";
import { Icon } from "../parts/Icon";
import { Empty, Page, Waiting } from "../parts/Page";
import { href, route } from "../router";
import { sheets } from "../store";
import type { SheetEntry } from "../types";

const TYPED_MS = 200;

export function Sheets() {
  const open = route.value.rest[0] ?? "";
  return (
    <div class={`split ${open ? "open" : ""}`}>
      <SheetList open={open} />
      {open ? (
        <SheetPage key={open} name={open} />
      ) : (
        <div class="page split-rest">
          <Empty>{t("sheets.choose")}</Empty>
        </div>
      )}
    </div>
  );
}

function SheetList({ open }: { open: string }) {
  const words = useSignal("");
  const found = useSignal<SheetEntry[] | null>(null);
  useEffect(() => {
    const wanted = words.value.trim();
    if (!wanted) {
      found.value = null;
      return undefined;
    }
    const timer = window.setTimeout(() => {
      ask<{ sheets: SheetEntry[] }>(`sheets/search?q=${encodeURIComponent(wanted)}`)
        .then((answer) => {
          if (words.value.trim() === wanted) found.value = answer.sheets;
        })
        .catch(() => (found.value = null));
    }, TYPED_MS);
    return () => window.clearTimeout(timer);
  }, [words.value]);
  const all = sheets.value.value?.sheets ?? [];
  const shown = found.value ?? all;
  return (
    <Page kind="split-list" title={t("nav.sheets")} back={href("more")}>
      <label class="field search">
        <span class="hidden">{t("sheets.search")}</span>
        <Icon name="search" />
        <input
          type="search"
          value={words.value}
          aria-label={t("sheets.search")}
          onInput={(event) => (words.value = event.currentTarget.value)}
        />
      </label>
      <Waiting of={sheets} />
      <p class="hidden" role="status">
        {found.value ? t("sheets.found", { count: found.value.length }) : ""}
      </p>
      {found.value?.length === 0 && <Empty>{t("sheets.not_found")}</Empty>}
      {sheets.value.value && all.length === 0 && <Empty>{t("sheets.none")}</Empty>}
      <ul class="rows">
        {shown.map((sheet) => (
          <li key={sheet.name}>
            <a
              class={`row ${sheet.name === open ? "current" : ""}`}
              href={href("sheets", sheet.name)}
              aria-current={sheet.name === open ? "page" : undefined}
            >
              <span class="row-icon">
                <Icon name="sheet" />
              </span>
              <span class="row-words">
                <span class="strong">{sheet.title || sheet.name}</span>
                <span class="small ellipsis">
                  {sheet.is_whole
                    ? sheet.keywords.join(", ")
                    : t("sheets.partly", {
                        share: Math.floor((100 * sheet.have_bytes) / Math.max(1, sheet.size_bytes)),
                      })}
                </span>
              </span>
            </a>
          </li>
        ))}
      </ul>
    </Page>
  );
}

function SheetPage({ name }: { name: string }) {
  const found = sheets.value.value?.sheets.find((each) => each.name === name);
  const title = found?.title || name;
  return (
    <Page kind="split-rest sheet-page" title={title} back={href("sheets")}>
      {found && !found.is_whole ? (
        <Empty>{t("sheets.not_whole")}</Empty>
      ) : (
        <iframe class="sheet" sandbox="" title={title} src={`/api/sheets/${encodeURIComponent(name)}/page`} />
      )}
    </Page>
  );
}
