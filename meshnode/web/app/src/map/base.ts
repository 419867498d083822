// The map that comes with the node: land, coasts and borders, and a grid of degrees, all drawn here.
import L from "leaflet";
import { effect } from "@preact/signals";
import { t } from "../i18n";
import { theme } from "../theme";
import { PlaceNames } from "./names";

interface Base {
  source: string;
  boxes: Record<string, [number, number, number, number]>;
  land: [number, number][][][];
  borders: [number, number][][][];
}

const GRID = [
  { zoom: 11, step: 0.1 },
  { zoom: 8, step: 0.5 },
  { zoom: 6, step: 1 },
  { zoom: 0, step: 5 },
];
const GRID_LINES_MAX = 40;

interface Drawing {
  _ctx?: CanvasRenderingContext2D;
}

const redraw = (L.Canvas.prototype as unknown as { _redraw(this: Drawing): void })._redraw;

/** A canvas that was asked to draw once more in the frame after its map was taken away does not. */
const SteadyCanvas = L.Canvas.extend({
  _redraw(this: Drawing) {
    if (this._ctx) redraw.call(this);
  },
}) as unknown as typeof L.Canvas;

let fetched: Promise<Base> | null = null;

function base(): Promise<Base> {
  fetched ??= fetch("/map/base.json").then((answer) => {
    if (!answer.ok) throw new Error(t("map.no_base"));
    return answer.json() as Promise<Base>;
  });
  fetched.catch(() => (fetched = null));
  return fetched;
}

/** Where a map starts that has nobody to show: metropolitan France. */
export const HOME: L.LatLngBoundsExpression = [
  [41.3, -5.2],
  [51.2, 9.6],
];

export interface MapOptions {
  isFixed?: boolean;
}

/** Make a map in `element`; `stop` takes it away. */
export function makeMap(element: HTMLElement, options: MapOptions = {}): { map: L.Map; stop: () => void } {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const fixed = options.isFixed === true;
  const map = L.map(element, {
    attributionControl: !fixed,
    zoomControl: false,
    minZoom: 3,
    maxZoom: 18,
    worldCopyJump: true,
    // Its own watcher ends a moment after the map does, and stumbles; the one below does it.
    trackResize: false,
    zoomAnimation: !still,
    fadeAnimation: !still,
    markerZoomAnimation: !still,
    dragging: !fixed,
    keyboard: !fixed,
    scrollWheelZoom: !fixed,
    doubleClickZoom: !fixed,
    touchZoom: !fixed,
    boxZoom: !fixed,
  });
  map.attributionControl?.setPrefix(false);
  map.attributionControl?.addAttribution(t("map.source"));
  if (!fixed) {
    L.control
      .zoom({ position: "topright", zoomInTitle: t("map.zoom_in"), zoomOutTitle: t("map.zoom_out") })
      .addTo(map);
  }
  L.control.scale({ imperial: false, position: "bottomleft" }).addTo(map);
  map.createPane("base").classList.add("pane-base");
  map.createPane("names").classList.add("pane-names");
  map.createPane("tiles").classList.add("pane-tiles");
  const renderer = new SteadyCanvas({ pane: "base", padding: 0.5 });
  const drawn = L.layerGroup().addTo(map);
  const names = new PlaceNames("names").addTo(map);
  let isGone = false;
  const grid = L.layerGroup().addTo(map);
  const draw = async () => {
    const found = await base();
    if (isGone) return;
    drawn.clearLayers();
    drawBase(found, drawn, renderer);
    // On a canvas what comes last lies on top.
    regrid();
  };
  const regrid = () => drawGrid(map, grid, renderer);
  map.on("moveend", regrid);
  const unwatch = effect(() => {
    // Colours come from the style sheet, which another theme changes.
    void theme.value;
    names.draw();
    void draw().catch(() => map.attributionControl?.addAttribution(t("map.no_base")));
  });
  const resized = new ResizeObserver(() => map.invalidateSize({ animate: false }));
  resized.observe(element);
  return {
    map,
    stop: () => {
      isGone = true;
      unwatch();
      resized.disconnect();
      map.off("moveend", regrid);
      // Before the canvas that they are drawn on, which would be drawn once more without them.
      drawn.clearLayers();
      grid.clearLayers();
      map.remove();
    },
  };
}

export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const turned = ([x, y]: [number, number]): L.LatLngTuple => [y, x];

function drawBase(found: Base, into: L.LayerGroup, renderer: L.Renderer): void {
  for (const rings of found.land) {
    L.polygon(
      rings.map((ring) => ring.map(turned)),
      {
        renderer,
        pane: "base",
        interactive: false,
        weight: 1,
        color: colour("map-coast"),
        fillColor: colour("map-land"),
        fillOpacity: 1,
        smoothFactor: 0.7,
      },
    ).addTo(into);
  }
  for (const lines of found.borders) {
    L.polyline(
      lines.map((line) => line.map(turned)),
      { renderer, pane: "base", interactive: false, weight: 1.2, color: colour("map-border"), dashArray: "5 4" },
    ).addTo(into);
  }
}

function drawGrid(map: L.Map, into: L.LayerGroup, renderer: L.Renderer): void {
  into.clearLayers();
  const step = GRID.find((each) => map.getZoom() >= each.zoom)?.step ?? 5;
  const bounds = map.getBounds().pad(0.3);
  const [south, north] = [Math.floor(bounds.getSouth() / step), Math.ceil(bounds.getNorth() / step)];
  const [west, east] = [Math.floor(bounds.getWest() / step), Math.ceil(bounds.getEast() / step)];
  if (north - south > GRID_LINES_MAX || east - west > GRID_LINES_MAX) return;
  const style = {
    renderer,
    pane: "base",
    interactive: false,
    weight: 0.6,
    color: colour("map-grid"),
  };
  for (let at = south; at <= north; at++) {
    L.polyline([[at * step, west * step], [at * step, east * step]], style).addTo(into);
  }
  for (let at = west; at <= east; at++) {
    L.polyline([[south * step, at * step], [north * step, at * step]], style).addTo(into);
  }
}
