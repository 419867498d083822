// People and alarms on a map. What does not change is not drawn anew, so 2,000 of them stay smooth.
import L from "leaflet";
import { spotWords, type Spot } from "../board";
import { counted, t } from "../i18n";
import { ago } from "../time";
import type { Alarm } from "../types";
import { clustered } from "./clusters";

const SIDE_PX = 46;
const ALARM = "sos ";
/** From here on nobody is put together with others, but in a crowd that nobody could tell apart. */
const APART_ZOOM = 17;
const APART_MAX = 300;
/** An alarm stands before whoever is at the same place. */
const ABOVE = 10_000;
/** Stands between the names of a group; no name has a line break. */
const BETWEEN = "\n";

interface Shown {
  marker: L.Marker;
  face: string;
}

type Placed = Spot & { x: number; y: number };

export class Markers {
  readonly #shown = new Map<string, Shown>();
  #spots: Spot[] = [];
  #alarms: Alarm[] = [];
  #chosen = "";

  constructor(
    private readonly map: L.Map,
    private readonly onChoose: (node: string) => void,
    private readonly onAlarm: (alarm: string) => void,
  ) {
    map.on("moveend zoomend", () => this.#draw());
  }

  /** Show these from now on. Cost: O(spots), and drawing of what is new in view. */
  show(spots: Spot[], alarms: Alarm[], chosen: string): void {
    this.#spots = spots;
    this.#alarms = alarms.filter((each) => each.place !== null);
    this.#chosen = chosen;
    this.#draw();
  }

  #draw(): void {
    const zoom = this.map.getZoom();
    const view = this.map.getBounds().pad(0.2);
    const placed = this.#spots
      .filter((each) => view.contains([each.latitude, each.longitude]))
      .map((each): Placed => ({ ...each, ...this.map.project([each.latitude, each.longitude], zoom) }));
    const isApart = zoom >= APART_ZOOM && placed.length <= APART_MAX;
    const groups = isApart ? placed.map((each) => [each]) : clustered(placed, SIDE_PX);
    const wanted = new Set<string>();
    for (const group of groups) {
      const key = group.map((each) => each.node).join(BETWEEN);
      wanted.add(key);
      if (group.length === 1) this.#put(key, group[0]!, () => faceOf(group[0]!, this.#chosen));
      else this.#put(key, middle(group), () => clusterFace(group));
    }
    for (const alarm of this.#alarms) {
      const key = `${ALARM}${alarm.alarm}`;
      wanted.add(key);
      this.#put(key, alarm.place!, () => alarmFace(alarm));
      this.#shown.get(key)?.marker.setZIndexOffset(ABOVE);
    }
    for (const [key, { marker }] of this.#shown) {
      if (wanted.has(key)) continue;
      marker.remove();
      this.#shown.delete(key);
    }
  }

  #put(key: string, at: { latitude: number; longitude: number }, make: () => Face): void {
    const face = make();
    const signature = `${face.kind}|${face.badge}|${face.label}|${face.title}`;
    const place: L.LatLngTuple = [at.latitude, at.longitude];
    const known = this.#shown.get(key);
    if (known) {
      if (!known.marker.getLatLng().equals(place)) known.marker.setLatLng(place);
      if (known.face !== signature) {
        known.marker.setIcon(iconOf(face));
        known.face = signature;
      }
      return;
    }
    const marker = L.marker(place, { icon: iconOf(face), keyboard: true, riseOnHover: true });
    marker.on("click keypress", (event) => {
      const pressed = (event as L.LeafletKeyboardEvent).originalEvent as KeyboardEvent | undefined;
      if (event.type === "keypress" && pressed?.key !== "Enter" && pressed?.key !== " ") return;
      // The space bar would scroll the page as well.
      pressed?.preventDefault();
      this.#choose(key);
    });
    marker.addTo(this.map);
    this.#shown.set(key, { marker, face: signature });
  }

  #choose(key: string): void {
    if (key.startsWith(ALARM)) this.onAlarm(key.slice(ALARM.length));
    else if (this.#spots.some((each) => each.node === key)) this.onChoose(key);
    else {
      const nodes = new Set(key.split(BETWEEN));
      const group = this.#spots.filter((each) => nodes.has(each.node));
      const bounds = L.latLngBounds(group.map((each) => [each.latitude, each.longitude]));
      this.map.fitBounds(bounds.pad(0.3), { maxZoom: Math.min(APART_ZOOM, this.map.getZoom() + 4) });
    }
  }
}

interface Face {
  kind: string;
  badge: string;
  label: string;
  title: string;
}

function faceOf(spot: Spot, chosen: string): Face {
  const kinds = ["spot"];
  if (spot.isStale) kinds.push("stale");
  if (spot.isSelf) kinds.push("self");
  if (spot.isRevoked) kinds.push("revoked");
  if (spot.isForeign) kinds.push("foreign");
  if (spot.node === chosen) kinds.push("chosen");
  return {
    kind: kinds.join(" "),
    badge: initials(spot.name),
    label: spot.isStale ? `${spot.name} · ${ago(spot.atMs)}` : spot.name,
    title: `${spot.name}, ${spotWords(spot)}`,
  };
}

function clusterFace(group: Spot[]): Face {
  const isStale = group.every((each) => each.isStale);
  const names = group.slice(0, 6).map((each) => each.name);
  return {
    kind: `spot cluster ${isStale ? "stale" : ""}`,
    badge: String(group.length),
    label: "",
    title: `${counted("map.people", group.length)} : ${names.join(", ")}${group.length > 6 ? "…" : ""}`,
  };
}

function alarmFace(alarm: Alarm): Face {
  return {
    kind: "spot sos",
    badge: "SOS",
    label: alarm.from,
    title: t("sos.from", { name: alarm.from }),
  };
}

function initials(name: string): string {
  const parts = name.split(/[\s._-]+/).filter(Boolean);
  const letters = parts.length > 1 ? `${parts[0]![0]}${parts[1]![0]}` : name.slice(0, 2);
  return letters.toUpperCase();
}

function middle(group: Spot[]): { latitude: number; longitude: number } {
  const mean = (pick: (each: Spot) => number) => group.reduce((sum, each) => sum + pick(each), 0) / group.length;
  return { latitude: mean((each) => each.latitude), longitude: mean((each) => each.longitude) };
}

function iconOf(face: Face): L.DivIcon {
  const element = document.createElement("div");
  element.className = face.kind;
  const badge = document.createElement("span");
  badge.className = "spot-badge";
  // In an element of its own, which stays upright where the badge is turned.
  badge.appendChild(document.createElement("span")).textContent = face.badge;
  badge.setAttribute("aria-hidden", "true");
  element.append(badge);
  if (face.label) {
    const label = document.createElement("span");
    label.className = "spot-label";
    label.textContent = face.label;
    label.setAttribute("aria-hidden", "true");
    element.append(label);
  }
  // What is heard is the whole of it, with the age of the place.
  const heard = document.createElement("span");
  heard.className = "hidden";
  heard.textContent = face.title;
  element.append(heard);
  element.title = face.title;
  return L.divIcon({ html: element, className: "spot-frame", iconSize: [44, 44], iconAnchor: [22, 22] });
}

