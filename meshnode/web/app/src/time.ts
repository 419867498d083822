// Times as people say them: on the local clock, and how long ago by the node's clock.
import { computed, signal } from "@preact/signals";
import { counted, language, t } from "./i18n";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Ticks twelve times a minute, so that ages grow on the screen by themselves. */
const tick = signal(Date.now());
setInterval(() => (tick.value = Date.now()), 5 * SECOND);

/** How far the node's clock is before this browser's, milliseconds. */
export const clockOffsetMs = signal(0);

/** Now by the node's clock. */
export const nowMs = computed(() => tick.value + clockOffsetMs.value);

/** Look at the clock anew, for what has just come in. */
export function setClock(nodeMs: number): void {
  clockOffsetMs.value = nodeMs - Date.now();
  tick.value = Date.now();
}

/** "12 min ago", in the user's language; never in the future. */
export function ago(atMs: number, now = nowMs.value): string {
  const age = Math.max(0, now - atMs);
  if (age < MINUTE) return t("time.now");
  return t("time.ago", { span: span(age) });
}

/** "12 min", "3 h 05", "2 days". */
export function span(ms: number): string {
  const length = Math.max(0, ms);
  if (length < MINUTE) return t("time.seconds", { count: Math.round(length / SECOND) });
  if (length < HOUR) return t("time.minutes", { count: Math.floor(length / MINUTE) });
  if (length < DAY) {
    const minutes = Math.floor((length % HOUR) / MINUTE);
    return t("time.hours", {
      hours: Math.floor(length / HOUR),
      minutes: String(minutes).padStart(2, "0"),
    });
  }
  return counted("time.days", Math.floor(length / DAY));
}

/** Time of day, with the day of the week or the date where it is not of today. */
export function clock(atMs: number): string {
  const at = new Date(atMs);
  const isToday = at.toDateString() === new Date().toDateString();
  const isNear = Math.abs(atMs - Date.now()) < 6 * DAY;
  return new Intl.DateTimeFormat(locale(), {
    hour: "2-digit",
    minute: "2-digit",
    ...(isToday ? {} : isNear ? { weekday: "short" } : { day: "numeric", month: "short" }),
  }).format(at);
}

/** Date and time in full, for titles and details. */
export function moment(atMs: number): string {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeStyle: "medium" }).format(atMs);
}

/** A day of the archive, which begins and ends in UTC. */
export function plainDay(atMs: number): string {
  return new Intl.DateTimeFormat(locale(), { dateStyle: "medium", timeZone: "UTC" }).format(atMs);
}

/** The day, as a heading between messages. */
export function day(atMs: number): string {
  return new Intl.DateTimeFormat(locale(), {
    weekday: "long",
    day: "numeric",
    month: "long",
  }).format(atMs);
}

export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(locale(), { maximumFractionDigits: digits }).format(value);
}

/** A number of bytes in the unit that fits. */
export function bytes(count: number): string {
  const units = ["time.bytes", "time.kilobytes", "time.megabytes", "time.gigabytes"] as const;
  let value = count;
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at++;
  }
  return t(units[at] ?? "time.bytes", { count: number(value, at === 0 ? 0 : 1) });
}

/** Which of two names comes first: as people count, 9 before 10. Made once, for thousands of names. */
export const inOrder = new Intl.Collator(["fr", "en"], { numeric: true }).compare;

const locale = (): string => (language.value === "fr" ? "fr-FR" : "en-GB");
