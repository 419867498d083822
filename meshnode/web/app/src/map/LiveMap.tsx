// The map of everybody whose place is known here, live; with alarms and a track where there is one.
import { useSignal } from "@preact/signals";
import L from "leaflet";
import { useEffect, useRef } from "preact/hooks";
import type { Spot } from "../board";
import { t } from "../i18n";
import { go } from "../router";
import type { CoverageCell, View } from "../coverage";
import type { Alarm } from "../types";
import { colour, HOME, makeMap } from "./base";
import { CoverageLayer } from "./coverage";
import { Markers } from "./markers";
import { tileLayers } from "./tiles";

export interface Track {
  segments: { points: [number, number, number][] }[];
}

interface LiveMapProps {
  spots: Spot[];
  alarms: Alarm[];
  chosen: string;
  at: [number, number] | null;
  track: Track | null;
  cells: CoverageCell[];
  onChoose: (node: string) => void;
  onView: (view: View) => void;
}

export function LiveMap({ spots, alarms, chosen, at, track, cells, onChoose, onView }: LiveMapProps) {
  const element = useRef<HTMLDivElement>(null);
  const live = useRef<{ map: L.Map; markers: Markers; drawn: L.LayerGroup; coverage: CoverageLayer } | null>(null);
  const hasView = useSignal(false);
  const choose = useRef(onChoose);
  choose.current = onChoose;
  const tell = useRef(onView);
  tell.current = onView;

  useEffect(() => {
    const { map, stop } = makeMap(element.current!);
    map.fitBounds(HOME);
    const drawn = L.layerGroup().addTo(map);
    const markers = new Markers(
      map,
      (node) => choose.current(node),
      (alarm) => go("sos", alarm),
    );
    const coverage = new CoverageLayer(map);
    live.current = { map, markers, drawn, coverage };
    const moved = () => tell.current(viewOf(map));
    map.on("moveend", moved);
    moved();
    const stopTiles = tileLayers(map);
    return () => {
      map.off("moveend", moved);
      stopTiles();
      live.current = null;
      stop();
    };
  }, []);
  useEffect(() => {
    live.current?.markers.show(spots, alarms, chosen);
    if (!hasView.value && (spots.length || at)) {
      hasView.value = true;
      if (at) live.current?.map.setView(at, 12);
      else showAll(live.current?.map, spots, alarms);
    }
  }, [spots, alarms, chosen, at]);
  useEffect(() => {
    const spot = spots.find((each) => each.node === chosen);
    const map = live.current?.map;
    if (!spot || !map) return;
    const place: L.LatLngTuple = [spot.latitude, spot.longitude];
    if (!map.getBounds().pad(-0.1).contains(place)) map.setView(place, Math.max(map.getZoom(), 11));
  }, [chosen]);
  useEffect(() => {
    const drawn = live.current?.drawn;
    drawn?.clearLayers();
    for (const segment of track?.segments ?? []) {
      const line = segment.points.map(([, latitude, longitude]): L.LatLngTuple => [latitude, longitude]);
      if (drawn) L.polyline(line, { color: colour("accent"), weight: 3, opacity: 0.8 }).addTo(drawn);
    }
  }, [track]);
  useEffect(() => live.current?.coverage.show(cells), [cells]);

  return (
    <div class="live-map">
      <div ref={element} class="map" role="application" aria-label={t("map.label")} />
      <button
        type="button"
        class="map-all"
        onClick={() => showAll(live.current?.map, spots, alarms)}
        disabled={spots.length === 0}
      >
        {t("map.all")}
      </button>
    </div>
  );
}

function viewOf(map: L.Map): View {
  const middle = map.getCenter();
  const reachKm = map.distance(middle, map.getBounds().getNorthEast()) / 1_000;
  return { latitude: middle.lat, longitude: middle.wrap().lng, reachKm };
}

function showAll(map: L.Map | undefined, spots: Spot[], alarms: Alarm[]): void {
  const places: L.LatLngTuple[] = spots.map((each) => [each.latitude, each.longitude]);
  for (const each of alarms) if (each.place) places.push([each.place.latitude, each.place.longitude]);
  if (map && places.length) map.fitBounds(L.latLngBounds(places).pad(0.25), { maxZoom: 12 });
}
