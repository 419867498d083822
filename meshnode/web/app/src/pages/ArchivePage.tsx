// The archive of this gateway: what it holds, and a search in what the centre could read.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask } from "../api";
import { counted, t, told } from "../i18n";
import { Action } from "../parts/Action";
import { Empty, Page, Waiting } from "../parts/Page";
import { href } from "../router";
import { archive } from "../store";
import { bytes, day, moment, number } from "../time";
import type { Archived } from "../types";

const CLASSES = ["texts", "sos", "positions", "files", "receipts", "shifts", "audit"];

export function ArchivePage() {
  useEffect(() => void archive.refresh(), []);
  return (
    <Page title={t("nav.archive")} back={href("more")}>
      <div class="columns">
        <Search />
        <Held />
      </div>
    </Page>
  );
}

function Search() {
  const words = useSignal("");
  const author = useSignal("");
  const kind = useSignal("texts");
  const from = useSignal("");
  const until = useSignal("");
  const found = useSignal<Archived[] | null>(null);
  const look = async () => {
    const wanted = new URLSearchParams({ q: words.value, author: author.value, classes: kind.value });
    const fromMs = Date.parse(`${from.value}T00:00`);
    const untilMs = Date.parse(`${until.value}T23:59:59`);
    if (!Number.isNaN(fromMs)) wanted.set("from_ms", String(fromMs));
    if (!Number.isNaN(untilMs)) wanted.set("to_ms", String(untilMs));
    found.value = (await ask<{ found: Archived[] }>(`archive/search?${wanted}`)).found;
  };
  return (
    <section class="card">
      <h2>{t("archive.search")}</h2>
      <label class="field">
        <span>{t("archive.words")}</span>
        <input type="search" value={words.value} onInput={(event) => (words.value = event.currentTarget.value)} />
      </label>
      <label class="field">
        <span>{t("archive.author")}</span>
        <input value={author.value} onInput={(event) => (author.value = event.currentTarget.value)} />
      </label>
      <label class="field">
        <span>{t("archive.class")}</span>
        <select value={kind.value} onChange={(event) => (kind.value = event.currentTarget.value)}>
          {CLASSES.map((each) => (
            <option key={each} value={each}>
              {told("class", each)}
            </option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>{t("archive.from")}</span>
        <input type="date" value={from.value} onInput={(event) => (from.value = event.currentTarget.value)} />
      </label>
      <label class="field">
        <span>{t("archive.until")}</span>
        <input type="date" value={until.value} onInput={(event) => (until.value = event.currentTarget.value)} />
      </label>
      <div class="buttons">
        <Action kind="primary" run={look}>
          {t("archive.look")}
        </Action>
      </div>
      <p class="hidden" role="status">
        {found.value ? counted("archive.found", found.value.length) : ""}
      </p>
      {found.value?.length === 0 && <Empty>{t("archive.nothing")}</Empty>}
      <ul class="rows">
        {found.value?.map((each) => (
          <li key={`${each.message} ${each.at_ms}`} class="row">
            <span class="row-words">
              <span class="strong">
                {each.author.name} → {each.to}
              </span>
              <span>{said(each)}</span>
              <span class="small">
                {moment(each.at_ms)} · {t("archive.kept_until", { day: day(each.keep_until_ms) })}
              </span>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function said(found: Archived): string {
  if (!found.is_readable) return t("archive.unreadable");
  if (found.text) return found.text;
  if (found.place) return `${number(found.place.latitude, 5)}, ${number(found.place.longitude, 5)}`;
  return told("class", found.class);
}

function Held() {
  const found = archive.value.value;
  return (
    <section class="card">
      <h2>{t("archive.holds")}</h2>
      <Waiting of={archive} />
      {found && !found.is_archiving && <p class="notice warn">{t("archive.none")}</p>}
      {found?.failing.map((each) => (
        <p class="notice bad" key={each}>
          {told("fault", each)}
        </p>
      ))}
      {found && (
        <dl class="facts">
          <div class="fact">
            <dt>{t("archive.database")}</dt>
            <dd>{found.database === "sqlite" ? "SQLite" : "PostgreSQL"}</dd>
          </div>
          <div class="fact">
            <dt>{t("archive.waiting")}</dt>
            <dd>
              {number(found.waiting)} ({bytes(found.waiting_bytes)})
            </dd>
          </div>
          {found.purged_ms > 0 && (
            <div class="fact">
              <dt>{t("archive.purged")}</dt>
              <dd>{moment(found.purged_ms)}</dd>
            </div>
          )}
          {found.held.map((each) => (
            <div class="fact" key={each.class}>
              <dt>{told("class", each.class)}</dt>
              <dd>{counted("archive.contents", each.contents)}</dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  );
}
