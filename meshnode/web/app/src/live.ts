// Keeps one stream of events open while somebody is signed in, and looks whether the node is there.
import { effect, signal, untracked } from "@preact/signals";
import { ApiError, ask, hasEnded, isLocked, isReachable, session, signedOut } from "./api";
import { alarms, board, clearAll, forgetBegun, foreign, isAgent, note, positions, refreshAll, shift, status } from "./store";
import type { Resource } from "./resource";
import type { Session } from "./types";

const RETRY_MS = [1_000, 2_000, 5_000, 10_000];
/** What grows old without an event is fetched so often while the page is looked at; alarms always,
 * since a stream may be dead without anybody knowing. */
const SLOW_MS = 30_000;
/** The node gives a sign of life every 15 s: a stream without one for so long is dead. */
const SILENT_MS = 40_000;

/** True while events arrive as they happen. */
export const isLive = signal(false);
/** True until the first question whether somebody is signed in has been answered. */
export const isStarting = signal(true);

let source: EventSource | null = null;
/** When anything last came by the stream, by this browser's clock. */
let heardMs = 0;
let attempts = 0;
let retry = 0;
/** Whose words are in the fields. */
let writer = "";

/** Ask who is signed in here, and follow the node from now on. */
export async function start(): Promise<void> {
  effect(() => {
    const found = session.value;
    untracked(() => {
      // Another session sees nothing of the last one; the same person finds what they had begun.
      stop();
      if (!found) return;
      hasEnded.value = false;
      if (found.name !== writer) forgetBegun();
      writer = found.name;
      follow();
    });
  });
  effect(() => {
    if (isReachable.value) return;
    // A stream over a network that went away never says so: it is asked for anew afterwards.
    drop();
    untracked(lookLater);
  });
  setInterval(() => {
    if (!session.value) return;
    if (source && Date.now() - heardMs > SILENT_MS) drop();
    if (!isReachable.value || (isAgent.value && !source)) void look();
    else if (document.visibilityState === "visible") slow([status, board, positions, foreign, shift, alarms]);
    else slow([alarms]);
  }, SLOW_MS);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void look();
  });
  for (const kind of ["online", "offline"]) addEventListener(kind, () => void look());
  await look();
  isStarting.value = false;
}

/** Ask the node who is signed in; with nobody there, ask again a little later. */
export async function look(): Promise<void> {
  window.clearTimeout(retry);
  try {
    const found = await ask<Session>("session");
    if (!session.value || session.value.csrf !== found.csrf) session.value = found;
    else if (!source) follow();
  } catch (thrown) {
    if (thrown instanceof ApiError && thrown.status === 401) signedOut();
    // Nobody there, or one that has no time now.
    else lookLater();
  }
}

function lookLater(): void {
  window.clearTimeout(retry);
  retry = window.setTimeout(() => void look(), RETRY_MS[Math.min(attempts, RETRY_MS.length - 1)]);
  attempts++;
}

function follow(): void {
  // A device that is not enrolled yet has nothing to follow.
  if (source || session.value?.role === "newcomer") return;
  // A reader is told of no events: what it sees is asked for again and again.
  if (!isAgent.value) {
    void refreshAll();
    return;
  }
  let isFollowing = false;
  source = new EventSource("/api/events");
  heardMs = Date.now();
  const heard = () => (heardMs = Date.now());
  source.addEventListener("pulse", heard);
  source.onopen = () => {
    heard();
    isLive.value = true;
    attempts = 0;
  };
  source.onmessage = (event: MessageEvent<string>) => {
    heard();
    const told = JSON.parse(event.data) as { event: string; key?: number; is_locked?: boolean };
    if (told.event === "lock_changed") {
      isLocked.value = told.is_locked === true;
      if (isLocked.value) {
        forgetBegun();
        clearAll();
      }
    }
    if (told.event === "following") {
      // All is fetched once nothing that happens is missed any more: at the beginning, and where the
      // stream lost some.
      isFollowing = true;
      void refreshAll();
    } else note(told);
  };
  source.onerror = () => {
    // The browser would try again for ever without telling why: we look ourselves.
    drop();
    // Without a stream the screens show what is now.
    if (!isFollowing) void refreshAll();
    lookLater();
  };
}

function drop(): void {
  source?.close();
  source = null;
  isLive.value = false;
}

function stop(): void {
  drop();
  // The stream of whoever left dies with their session: nobody need look why.
  window.clearTimeout(retry);
  clearAll();
}

function slow(wanted: Resource<unknown>[]): void {
  for (const each of wanted) {
    if (each.fetchedMs.value) void each.refresh();
  }
}
