// Asks the node. One place knows how: the csrf word, errors in words, what a lost node looks like.
import { signal } from "@preact/signals";
import { language, t } from "./i18n";
import type { Session } from "./types";

/** The node answered, and refused or failed; `message` is a sentence in the user's language. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

/** Nobody answered: the node has stopped, or the way to it is gone. */
export class UnreachableError extends Error {
  constructor() {
    super(t("node.unreachable"));
  }
}

export const session = signal<Session | null>(null);
/** True after a session ended that nobody had closed here. */
export const hasEnded = signal(false);
/** False from the first request that nobody answered until the next one that somebody did. */
export const isReachable = signal(true);
/** When the node last answered, by this browser's clock; 0 before the first time. */
export const answeredMs = signal(0);
/** True while the node keeps its agent's keys shut. */
export const isLocked = signal(false);

const SAFE = new Set(["GET", "HEAD"]);
const WAIT_MS = 20_000;
/** Files over a slow network, and what counts a whole archive; the node gives up later. */
const LONG_WAIT_MS = 10 * WAIT_MS;
/** Whoever touched the page within so long is there; what a page asks by itself shows nobody. */
const THERE_MS = 60_000;
let touchedMs = -THERE_MS;

for (const kind of ["pointerdown", "keydown", "wheel", "touchmove"]) {
  const touched = (event: Event) => {
    if (event.isTrusted) touchedMs = performance.now();
  };
  addEventListener(kind, touched, { capture: true, passive: true });
}

export interface Asked {
  method?: string;
  body?: unknown;
  form?: FormData;
  /** The node has much to do for it. */
  isLong?: boolean;
}

/** Ask for `path` below /api. Raises: ApiError, UnreachableError. */
export async function ask<T>(path: string, asked: Asked = {}): Promise<T> {
  const method = asked.method ?? "GET";
  const asker = session.value;
  const headers: Record<string, string> = { "Accept-Language": language.value };
  if (!SAFE.has(method) && session.value) headers["X-Meshnode-CSRF"] = session.value.csrf;
  if (performance.now() - touchedMs < THERE_MS) headers["X-Meshnode-Presence"] = "1";
  if (asked.body !== undefined) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(`/api/${path}`, {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(asked.form || asked.isLong ? LONG_WAIT_MS : WAIT_MS),
      ...(asked.form ? { body: asked.form } : {}),
      ...(asked.body !== undefined ? { body: JSON.stringify(asked.body) } : {}),
    });
  } catch {
    isReachable.value = false;
    throw new UnreachableError();
  }
  isReachable.value = true;
  answeredMs.value = Date.now();
  const found = (await read(answer)) as T & { error?: { kind: string; message: string } };
  if (answer.ok) return found;
  // What somebody asked who has left meanwhile says nothing of whoever is here now.
  if (answer.status === 401 && path !== "session" && session.value === asker) signedOut();
  if (answer.status === 423) isLocked.value = true;
  const error = found.error;
  throw new ApiError(
    answer.status,
    error?.kind ?? "unknown",
    error?.message ?? t("error.status", { status: answer.status }),
  );
}

/** Take note that the node knows nobody here any more. */
export function signedOut(): void {
  if (session.value) hasEnded.value = true;
  session.value = null;
}

/** Return what an answer says. Raises: UnreachableError where it was cut off. */
async function read(answer: Response): Promise<unknown> {
  try {
    return await answer.json();
  } catch {
    // A refusal needs no words; what was granted is known once all of it has come.
    if (!answer.ok || answer.status === 204) return {};
    isReachable.value = false;
    throw new UnreachableError();
  }
}

export const post = <T>(path: string, body: unknown = {}): Promise<T> =>
  ask<T>(path, { method: "POST", body });

export const remove = <T>(path: string): Promise<T> => ask<T>(path, { method: "DELETE" });

/** The sentence to show for whatever was thrown. */
export function sentence(thrown: unknown): string {
  return thrown instanceof Error && thrown.message ? thrown.message : t("error.unknown");
}
