// The map of everybody whose place is known here, live; with alarms and a track where there is one.
import { useSignal } from "@preact/signals";
import L from "leaflet";
import { useEffect, useRef } from "preact/hooks";
import type { Spot } from "../board";
import { t } from "../i18n";
import { go } from "../router";
import type { Alarm } from "../types";
import { colour, HOME, makeMap } from "./base";
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
  onChoose: (node: string) => void;
}

export function LiveMap({ spots, alarms, chosen, at, track, onChoose }: LiveMapProps) {
  const element = useRef<HTMLDivElement>(null);
  const live = useRef<{ map: L.Map; markers: Markers; drawn: L.LayerGroup } | null>(null);
  const hasView = useSignal(false);
  const choose = useRef(onChoose);
  choose.current = onChoose;

  useEffect(() => {
    const { map, stop } = makeMap(element.current!);
    map.fitBounds(HOME);
    const drawn = L.layerGroup().addTo(map);
    const markers = new Markers(
      map,
      (node) => choose.current(node),
      (alarm) => go("sos", alarm),
    );
    live.current = { map, markers, drawn };
    const stopTiles = tileLayers(map);
    return () => {
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

function showAll(map: L.Map | undefined, spots: Spot[], alarms: Alarm[]): void {
  const places: L.LatLngTuple[] = spots.map((each) => [each.latitude, each.longitude]);
  for (const each of alarms) if (each.place) places.push([each.place.latitude, each.place.longitude]);
  if (map && places.length) map.fitBounds(L.latLngBounds(places).pad(0.25), { maxZoom: 12 });
}
