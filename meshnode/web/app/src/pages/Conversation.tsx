// One conversation, the newest at the foot. What is on the screen is told as read.
import { useSignal } from "@preact/signals";
import { Fragment } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { post } from "../api";
import { counted, t } from "../i18n";
import { Attachment } from "../parts/Attachment";
import { Composer } from "../parts/Composer";
import { DeliveryMark } from "../parts/Mark";
import { Empty, Page, Waiting } from "../parts/Page";
import { href } from "../router";
import { files, inbox, markedRead, story } from "../store";
import { kindOf, shownMs, threads, titleOf, type Entry } from "../threads";
import { clock, day, moment } from "../time";

/** Of so many of the newest own messages the whole story is fetched. */
const DETAILED_MAX = 20;
/** So many messages are drawn at first; older ones on demand. */
const SHOWN_STEP = 100;
/** Nearer to the foot than that, one reads the newest. */
const NEAR_PX = 80;

export function Conversation({ to }: { to: string }) {
  const entries = threads.value.find((each) => each.to === to)?.entries ?? [];
  const most = useSignal(SHOWN_STEP);
  const shown = entries.slice(-most.value);
  const stream = useRef<HTMLDivElement>(null);
  const end = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const last = shown.at(-1);
  useEffect(() => {
    // Whoever reads further up is left there, but for what they write themselves.
    if (isAtEnd.current || last?.way === "out") end.current?.scrollIntoView({ block: "end" });
  }, [to, last?.way, last?.key]);
  useEffect(() => {
    void tellRead(shown);
    const onVisible = () => void tellRead(shown);
    document.addEventListener("visibilitychange", onVisible);
    return () => document.removeEventListener("visibilitychange", onVisible);
  }, [to, entries.length, most.value]);
  const noteEnd = () => {
    const found = stream.current;
    if (found) isAtEnd.current = found.scrollHeight - found.scrollTop - found.clientHeight < NEAR_PX;
  };

  const detailed = new Set(
    shown.filter((each) => each.way === "out").slice(-DETAILED_MAX).map((each) => each.key),
  );
  return (
    <Page kind="split-rest conversation" title={titleOf(to)} back={href("messages")} actions={<span class="small">{kindOf(to)}</span>}>
      <div ref={stream} class="stream" onScroll={noteEnd} role="log" aria-label={t("messages.log", { name: titleOf(to) })} tabIndex={0}>
        <Waiting of={inbox} />
        {inbox.value.value && entries.length === 0 && <Empty>{t("messages.first")}</Empty>}
        {entries.length > shown.length && (
          <button type="button" class="quiet" onClick={() => (most.value += SHOWN_STEP)}>
            {counted("messages.older", entries.length - shown.length)}
          </button>
        )}
        {shown.map((entry, at) => (
          <Fragment key={`${entry.way}${entry.key}`}>
            {isNewDay(shown[at - 1], entry) && <h2 class="day">{day(shownMs(entry))}</h2>}
            <Bubble entry={entry} isDetailed={detailed.has(entry.key)} />
          </Fragment>
        ))}
        <div ref={end} />
      </div>
      <Composer to={to} />
    </Page>
  );
}

/** Tell the node what a person has before the eyes; not what lies in a hidden tab. */
async function tellRead(entries: Entry[]): Promise<void> {
  if (document.visibilityState !== "visible") return;
  for (const entry of entries) {
    if (entry.way !== "in" || entry.is_read) continue;
    try {
      await post(`messages/${entry.key}/read`);
    } catch {
      return; // The node says so elsewhere; it is told again when the page is looked at next.
    }
    markedRead(entry.key);
  }
}

function isNewDay(before: Entry | undefined, entry: Entry): boolean {
  return (
    before === undefined ||
    new Date(shownMs(before)).toDateString() !== new Date(shownMs(entry)).toDateString()
  );
}

function Bubble({ entry, isDetailed }: { entry: Entry; isDetailed: boolean }) {
  const isOut = entry.way === "out";
  const attached = (files.value.value ?? []).filter(
    (each) => each.message === entry.key && each.is_own === isOut,
  );
  const isCopy = isDetailed && (story(entry.key).value.value?.resends_key ?? 0) > 0;
  return (
    <article class={`bubble ${isOut ? "out" : "in"}`}>
      <header class="small">
        <span class="strong">{isOut ? t("messages.you") : entry.from}</span>
        <time dateTime={new Date(entry.created_ms).toISOString()} title={moment(entry.created_ms)}>
          {clock(entry.created_ms)}
        </time>
      </header>
      {!isOut && entry.is_author_revoked && <p class="notice bad">{t("messages.revoked_author")}</p>}
      {isCopy && <p class="small">{t("messages.again")}</p>}
      {entry.text && <p class="text">{entry.text}</p>}
      {attached.map((file) => (
        <Attachment key={file.file} file={file} />
      ))}
      {isOut ? (
        <DeliveryMark message={entry} isDetailed={isDetailed} />
      ) : (
        entry.received_ms - entry.created_ms > 60_000 && (
          <p class="small">{t("messages.received_at", { time: clock(entry.received_ms) })}</p>
        )
      )}
    </article>
  );
}
