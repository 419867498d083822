// A report of the network as the gateway counts it; null where too few devices told, or nobody knows.
import { language, t } from "./i18n";
import { number } from "./time";

export interface Delays {
  p50_s: number | null;
  p90_s: number | null;
  p99_s: number | null;
}

export interface Group {
  name: string;
  day_ms?: number;
  devices: number;
}

export interface ArrivalGroup extends Group {
  bundles: number;
  ahead: number;
  delays: Delays;
}

export interface DeliveryGroup extends Group {
  messages: number;
  acknowledged: number;
  at_centre: number;
  pending: number;
  unknown: number;
}

export interface Looks {
  devices: number;
  looks: number;
  bearers: Record<string, number>;
}

export interface Square extends Looks {
  south: number;
  west: number;
}

export type Breakdown = "by_day" | "by_class" | "by_zone" | "by_addressee";
type Part<G> = Record<Breakdown, G[]> & { total: Omit<G, "name"> | null };

export interface Report {
  since_ms: number;
  until_ms: number;
  devices_min: number;
  arrivals: Part<ArrivalGroup>;
  delivery: Part<DeliveryGroup>;
  alarms: {
    raised: number;
    taken: number;
    closed_untaken: number;
    open_untaken: number;
    heard: Delays;
    told: Delays;
  } | null;
  coverage: {
    looked_at: number;
    cells: Square[];
    unplaced: Looks | null;
    elsewhere: Looks | null;
  };
}

export const OUTCOMES = ["acknowledged", "at_centre", "pending", "unknown"] as const;

/** What stands where nothing is known. */
export const UNKNOWN = "–";

/** A delay in words. */
export function delay(seconds: number | null): string {
  if (seconds === null) return UNKNOWN;
  if (seconds < 120) return t("time.seconds", { count: seconds });
  if (seconds < 7_200) return t("time.minutes", { count: Math.round(seconds / 60) });
  if (seconds < 172_800) return t("report.hours", { count: number(seconds / 3_600, 1) });
  return t("report.days", { count: number(seconds / 86_400, 1) });
}

/** The share of a count in words. */
export function share(count: number, total: number): string {
  return total ? t("report.share", { share: number((100 * count) / total), count: number(count) }) : UNKNOWN;
}

/** A UTC day, short. */
export function utcDay(atMs: number): string {
  return new Intl.DateTimeFormat(language.value === "fr" ? "fr-FR" : "en-GB", {
    timeZone: "UTC",
    day: "numeric",
    month: "short",
    year: "2-digit",
  }).format(atMs);
}
