// Conversations: the list, and the one that is open; side by side where there is room.
import { useSignal } from "@preact/signals";
import { counted, t } from "../i18n";
import { Dialog } from "../parts/Dialog";
import { Icon } from "../parts/Icon";
import { Empty, Page, Waiting } from "../parts/Page";
import { Rest } from "../parts/Rest";
import { go, href, route } from "../router";
import { inbox, names } from "../store";
import { threads, titleOf, kindOf, type Thread } from "../threads";
import { clock } from "../time";
import { Conversation } from "./Conversation";

/** Rows at first: a zone has thousands that one could write to. */
const ROWS = 60;

export function Messages() {
  const open = route.value.rest[0] ?? "";
  return (
    <div class={`split ${open ? "open" : ""}`}>
      <ThreadList open={open} />
      {open ? (
        <Conversation key={open} to={open} />
      ) : (
        <div class="page split-rest">
          <Empty>{t("messages.choose")}</Empty>
        </div>
      )}
    </div>
  );
}

function ThreadList({ open }: { open: string }) {
  const isWriting = useSignal(false);
  const rows = useSignal(ROWS);
  const all = threads.value;
  const listed = all.filter((each, at) => at < rows.value || each.to === open);
  return (
    <Page
      kind="split-list"
      title={t("nav.messages")}
      actions={
        <button type="button" class="quiet" onClick={() => (isWriting.value = true)}>
          {t("messages.new")}
        </button>
      }
    >
      <Waiting of={inbox} />
      <ul class="rows">
        {listed.map((thread) => (
          <ThreadRow key={thread.to} thread={thread} isOpen={thread.to === open} />
        ))}
      </ul>
      <Rest of={all.length} shown={rows} step={ROWS} />
      {inbox.value.value && all.length === 0 && <Empty>{t("messages.none")}</Empty>}
      {isWriting.value && <Recipients onClose={() => (isWriting.value = false)} />}
    </Page>
  );
}

function ThreadRow({ thread, isOpen }: { thread: Thread; isOpen: boolean }) {
  const last = thread.entries.at(-1);
  return (
    <li>
      <a
        class={`row ${isOpen ? "current" : ""}`}
        href={href("messages", thread.to)}
        aria-current={isOpen ? "page" : undefined}
      >
        <span class="row-icon">
          <Icon name={iconOf(thread.to)} />
        </span>
        <span class="row-words">
          <span class="row-title">
            <span class="strong">{titleOf(thread.to)}</span>
            {last && <time class="small">{clock(thread.lastMs)}</time>}
          </span>
          <span class="row-title">
            <span class="small ellipsis">
              {last ? `${last.way === "out" ? t("messages.you") : last.from} : ${last.text || t("messages.file")}` : kindOf(thread.to)}
            </span>
            {thread.unread > 0 && (
              <span class="badge">
                {thread.unread}
                <span class="hidden"> {counted("messages.unread", thread.unread)}</span>
              </span>
            )}
          </span>
        </span>
      </a>
    </li>
  );
}

const iconOf = (to: string) =>
  to === "codt" ? "gateway" : to === "zone" || to.startsWith("squad:") ? "people" : "device";

/** So many are found without a search. */
const FEW = 12;

function Recipients({ onClose }: { onClose: () => void }) {
  const words = useSignal("");
  const rows = useSignal(ROWS);
  const known = names.value.value;
  const choose = (to: string) => {
    onClose();
    go("messages", to);
  };
  const groups = known
    ? [...known.units.filter((each) => each.devices > 0), ...known.squads].map((each) => each.to)
    : [];
  const wanted = words.value.trim().toLocaleLowerCase();
  const all = [...groups, ...(known?.members ?? []).map((each) => each.name)];
  const found = wanted ? all.filter((to) => titleOf(to).toLocaleLowerCase().includes(wanted)) : all;
  return (
    <Dialog title={t("messages.to_whom")} onClose={onClose}>
      <Waiting of={names} />
      {all.length > FEW && (
        <label class="field">
          {t("messages.find")}
          <input
            type="search"
            value={words.value}
            onInput={(event) => {
              words.value = event.currentTarget.value;
              rows.value = ROWS;
            }}
          />
        </label>
      )}
      {known && found.length === 0 && <Empty>{t("rosters.none")}</Empty>}
      <ul class="rows">
        {found.slice(0, rows.value).map((to) => (
          <li key={to}>
            <button type="button" class="row" onClick={() => choose(to)}>
              <span class="row-icon">
                <Icon name={iconOf(to)} />
              </span>
              <span class="row-words">
                <span class="strong">{titleOf(to)}</span>
                <span class="small">{kindOf(to)}</span>
              </span>
            </button>
          </li>
        ))}
      </ul>
      <Rest of={found.length} shown={rows} step={ROWS} />
    </Dialog>
  );
}
