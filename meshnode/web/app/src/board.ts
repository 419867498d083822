// What a squad sees of itself, judged by the clock of now: a value that grows too old greys by
// itself, without another answer of the node.
import { computed } from "@preact/signals";
import { isReachable } from "./api";
import { t, told } from "./i18n";
import { board, foreign, positions } from "./store";
import { ago, nowMs, number, span } from "./time";
import type { Aged, Board, Mate, Position } from "./types";

export type Kind = "position" | "battery" | "coverage" | "shift";

/** True once a value is older than its kind may be. */
export function isStale(kind: Kind, value: Aged, of: Board | null = board.value.value): boolean {
  const limitS = of?.stale_s[kind] ?? 0;
  return value.is_stale || nowMs.value - value.at_ms > 1000 * limitS;
}

export const mates = computed<Mate[]>(() => board.value.value?.mates ?? []);

/** Battery in words, with what it will do. */
export function batteryWords(battery: NonNullable<Mate["battery"]>): string {
  const level = t("board.battery", { level: number(battery.level_pct) });
  if (battery.is_charging) return t("board.charging", { level });
  if (battery.empty_ms > nowMs.value) {
    return t("board.empty_in", { level, span: span(battery.empty_ms - nowMs.value) });
  }
  return level;
}

export function coverageWords(coverage: NonNullable<Mate["coverage"]>): string {
  const parts = [told("network", coverage.network)];
  if (coverage.operator) parts.push(coverage.operator);
  if (coverage.signal_pct !== null) parts.push(`${number(coverage.signal_pct)} %`);
  else if (coverage.signal_dbm !== null) parts.push(`${number(coverage.signal_dbm)} dBm`);
  return parts.join(" · ");
}

/** Nobody is in contact by the word of a node that says nothing any more. */
const isInContact = (mate: Mate): boolean => mate.is_in_contact && isReachable.value;

export function contactWords(mate: Mate): string {
  if (mate.is_self) return t("board.this_device");
  if (isInContact(mate)) return t("board.in_contact");
  if (mate.heard) return t("board.heard", { ago: ago(mate.heard.at_ms) });
  return mate.met_ms ? t("board.met", { ago: ago(mate.met_ms) }) : t("board.never");
}

/** Whether somebody was heard of too long ago, and is not in contact. */
export function isSilent(mate: Mate): boolean {
  if (mate.is_self || isInContact(mate)) return false;
  return !mate.heard || isStale("shift", mate.heard);
}

/** Somebody's place for a map: its age and whether it is too old, never shown as of now. */
export interface Spot {
  node: string;
  name: string;
  squad: string;
  latitude: number;
  longitude: number;
  accuracyM: number;
  atMs: number;
  isStale: boolean;
  isSelf: boolean;
  isRevoked: boolean;
  /** Its shift is over: where somebody was on duty, not where they are. */
  isEnded: boolean;
  batteryPct: number | null;
  /** A unit of a partner, shown by a TAK server. */
  isForeign: boolean;
}

export const spots = computed<Spot[]>(() => {
  const found = new Map<string, Spot>();
  for (const each of positions.value.value ?? []) found.set(each.node, fromPosition(each));
  for (const mate of mates.value) {
    const known = found.get(mate.node);
    if (!known) continue;
    known.isSelf = mate.is_self;
    known.isEnded = !mate.is_on_shift;
    known.isStale ||= known.isEnded;
    if (mate.battery && !isStale("battery", mate.battery)) known.batteryPct = mate.battery.level_pct;
  }
  return [...found.values()];
});

function fromPosition(each: Position): Spot {
  // Whoever may see no board has the word of the node, which is asked again and again.
  const limitS = board.value.value?.stale_s["position"];
  return {
    node: each.node,
    name: each.name,
    squad: each.to,
    latitude: each.latitude,
    longitude: each.longitude,
    accuracyM: each.accuracy_m,
    atMs: each.taken_ms,
    isStale: each.is_stale || (limitS !== undefined && nowMs.value - each.taken_ms > 1000 * limitS),
    isSelf: false,
    isRevoked: each.is_author_revoked,
    isEnded: false,
    batteryPct: null,
    isForeign: false,
  };
}

/** Units of partners; what their server says no longer holds is old. */
export const foreignSpots = computed<Spot[]>(() =>
  (foreign.value.value ?? []).map((each) => ({
    node: `tak ${each.uid}`,
    name: each.callsign || t("map.foreign_unnamed"),
    squad: "tak",
    latitude: each.latitude,
    longitude: each.longitude,
    accuracyM: 0,
    atMs: each.at_ms,
    isStale: each.is_stale || each.stale_ms < nowMs.value,
    isSelf: false,
    isRevoked: false,
    isEnded: false,
    batteryPct: null,
    isForeign: true,
  })),
);

export function spotWords(spot: Spot): string {
  const age = ago(spot.atMs);
  if (spot.isForeign) return t(spot.isStale ? "map.foreign_old" : "map.foreign", { ago: age });
  if (spot.isEnded) return t("board.place_ended", { ago: age });
  const place = spot.isStale ? t("board.place_old", { ago: age }) : t("board.place", { ago: age });
  return spot.accuracyM > 0 ? `${place} · ±${number(spot.accuracyM)} m` : place;
}
