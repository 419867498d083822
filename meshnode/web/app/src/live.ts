// Keeps one stream of events open while somebody is signed in, and looks whether the node is there.
import { effect, signal } from "@preact/signals";
import { ApiError, ask, isLocked, isReachable, session } from "./api";
import { alarms, board, clearAll, foreign, note, positions, refreshAll, shift, status } from "./store";
import type { Session } from "./types";

const RETRY_MS = [1_000, 2_000, 5_000, 10_000];
/** What grows old without an event is fetched so often while the page is looked at. */
const SLOW_MS = 30_000;

/** True while events arrive as they happen. */
export const isLive = signal(false);
/** True until the first question whether somebody is signed in has been answered. */
export const isStarting = signal(true);

let source: EventSource | null = null;
let attempts = 0;
let retry = 0;

/** Ask who is signed in here, and follow the node from now on. */
export async function start(): Promise<void> {
  effect(() => {
    // Another session sees nothing of the last one.
    if (session.value) follow();
    else stop();
  });
  setInterval(() => {
    if (document.visibilityState === "visible" && session.value && isReachable.value) slow();
  }, SLOW_MS);
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") void look();
  });
  addEventListener("online", () => void look());
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
    if (thrown instanceof ApiError && thrown.status === 401) session.value = null;
    if (!isReachable.value) {
      retry = window.setTimeout(() => void look(), RETRY_MS[Math.min(attempts, RETRY_MS.length - 1)]);
      attempts++;
    }
  }
}

function follow(): void {
  // A device that is not enrolled yet has nothing to follow.
  if (source || session.value?.role === "newcomer") return;
  void refreshAll();
  source = new EventSource("/api/events");
  source.onopen = () => {
    isLive.value = true;
    attempts = 0;
  };
  source.onmessage = (event: MessageEvent<string>) => {
    const told = JSON.parse(event.data) as { event: string; key?: number; is_locked?: boolean };
    if (told.event === "lock_changed") {
      isLocked.value = told.is_locked === true;
      if (isLocked.value) clearAll();
    }
    note(told);
  };
  source.onerror = () => {
    // The browser would try again for ever without telling why: we look ourselves.
    source?.close();
    source = null;
    isLive.value = false;
    window.clearTimeout(retry);
    retry = window.setTimeout(() => void look(), RETRY_MS[Math.min(attempts, RETRY_MS.length - 1)]);
    attempts++;
  };
}

function stop(): void {
  source?.close();
  source = null;
  isLive.value = false;
  clearAll();
}

function slow(): void {
  for (const each of [status, board, positions, foreign, shift, alarms]) {
    if (each.fetchedMs.value) void each.refresh();
  }
}
