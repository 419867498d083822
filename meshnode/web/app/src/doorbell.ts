// What a page hears while nobody is signed in: whether the device is locked, and that an SOS waits.
import { effect, signal, untracked } from "@preact/signals";
import { isLocked, isReachable, session } from "./api";

interface Waiting {
  is_locked: boolean;
  alarms: number;
}

const AGAIN_MS = 5_000;

/** What the node says to nobody; null where it says nothing, to other machines. */
export const waiting = signal<Waiting | null>(null);

/** Ask again and again for as long as nobody is signed in. */
export function startDoorbell(): void {
  let timer = 0;
  effect(() => {
    const isIn = session.value !== null;
    window.clearInterval(timer);
    if (isIn) return;
    untracked(() => void listen());
    timer = window.setInterval(() => void listen(), AGAIN_MS);
  });
}

async function listen(): Promise<void> {
  const patience = AbortSignal.timeout(AGAIN_MS);
  const answer = await fetch("/healthz", { cache: "no-store", signal: patience }).catch(() => null);
  // A node that is slow is there: nothing is taken away from whoever types.
  if (session.value || patience.aborted) return;
  isReachable.value = answer !== null;
  if (!answer?.ok) return;
  const found = (await answer.json().catch(() => ({}))) as Partial<Waiting>;
  if (session.value || found.is_locked === undefined) return;
  waiting.value = { is_locked: found.is_locked, alarms: found.alarms ?? 0 };
  isLocked.value = found.is_locked;
}
