// What squads learned of networks: around where this device is, and around what the map shows.
import { signal } from "@preact/signals";
import { ask } from "./api";
import { t, told } from "./i18n";
import { Resource } from "./resource";
import { number } from "./time";

export interface CoverageCell {
  south: number;
  west: number;
  north: number;
  east: number;
  distance_m: number;
  direction: string;
  looks: number;
  worked: number;
  chance: number;
  at_least: number;
  bearer: string;
  bearer_worked: number;
  is_sure: boolean;
  is_other_part: boolean;
}

export interface CoverageFound {
  place: { latitude: number; longitude: number; is_own: boolean } | null;
  part: string;
  verdict: "likely" | "possible" | "none" | "unknown";
  next: CoverageCell | null;
  cells: CoverageCell[];
  known_cells: number;
  window_days: number;
}

/** What a map shows: its middle, and how far its corners are. */
export interface View {
  latitude: number;
  longitude: number;
  reachKm: number;
}

const NEAR = 12;
const DRAWN = 800;
const METRES = 1_000;

/** The part of the day that the map is for; empty is now. */
export const part = signal("");
export const view = signal<View | null>(null);

/** From where this device is. */
export const nearby = new Resource(() =>
  ask<CoverageFound>(`coverage?limit=${NEAR}&part=${part.value}`),
);
/** From the middle of the map, as far as it shows. */
export const around = new Resource(() => {
  const from = view.value;
  const at = from ? `${from.latitude},${from.longitude}` : "";
  const reach = Math.min(200, Math.ceil(from?.reachKm ?? 20));
  return ask<CoverageFound>(`coverage?limit=${DRAWN}&part=${part.value}&reach_km=${reach}&at=${at}`);
});

export type Level = "high" | "good" | "low" | "bad" | "unsure";

/** In which colour a cell stands: how likely a network works there, grey where hardly anybody looked. */
export function levelOf(cell: CoverageCell): Level {
  if (!cell.is_sure) return "unsure";
  if (cell.chance >= 0.75) return "high";
  if (cell.chance >= 0.5) return "good";
  return cell.chance >= 0.25 ? "low" : "bad";
}

/** "1.2 km NE", or "here". */
export function wayWords(cell: CoverageCell): string {
  if (cell.distance_m === 0) return t("coverage.here");
  const far =
    cell.distance_m < METRES
      ? t("coverage.metres", { count: number(cell.distance_m) })
      : t("coverage.kilometres", { count: number(cell.distance_m / METRES, 1) });
  return `${far} ${told("coverage.direction", cell.direction)}`;
}

/** "4G worked 12 of 14 times". */
export function cellWords(cell: CoverageCell): string {
  const looks = cell.looks;
  if (cell.worked === 0) return t("coverage.never", { looks });
  return t("coverage.worked", { bearer: cell.bearer, worked: cell.bearer_worked, looks });
}

/** The forecast in one sentence. */
export function forecastWords(found: CoverageFound): string {
  if (found.next && (found.verdict === "likely" || found.verdict === "possible")) {
    const values = { what: cellWords(found.next), way: wayWords(found.next) };
    return found.verdict === "likely" ? t("coverage.next", values) : t("coverage.perhaps", values);
  }
  return found.verdict === "none" ? t("coverage.none") : t("coverage.unknown");
}
