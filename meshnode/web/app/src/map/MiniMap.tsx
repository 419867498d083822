// A small map that shows one place, and does nothing else.
import L from "leaflet";
import { useEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { href } from "../router";
import { makeMap } from "./base";

interface MiniMapProps {
  latitude: number;
  longitude: number;
  name: string;
}

export function MiniMap({ latitude, longitude, name }: MiniMapProps) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const { map, stop } = makeMap(element.current!, { isFixed: true });
    map.setView([latitude, longitude], 9);
    L.marker([latitude, longitude], {
      interactive: false,
      keyboard: false,
      icon: L.divIcon({ className: "spot-pin", iconSize: [20, 20], iconAnchor: [10, 10] }),
    }).addTo(map);
    return stop;
  }, [latitude, longitude]);
  return (
    <>
      <div ref={element} class="mini-map" role="img" aria-label={t("map.small", { name })} />
      <a class="button quiet" href={href("map", "at", latitude, longitude)}>
        {t("map.open")}
      </a>
    </>
  );
}
