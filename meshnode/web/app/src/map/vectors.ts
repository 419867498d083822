// Draws a vector map file of the home in the colours of the theme: ground, water, ways, borders and
// names, of the two layouts that are made most, Protomaps' and OpenMapTiles'. Nothing is fetched but
// pieces of the file: names are written in the fonts of the device, and there are no pictures.
import L from "leaflet";
import {
  CenteredTextSymbolizer,
  LineLabelSymbolizer,
  LineSymbolizer,
  PolygonSymbolizer,
  exp,
  leafletLayer,
  type Feature,
  type LabelRule,
  type PaintRule,
} from "protomaps-leaflet";
import { language } from "../i18n";
import { colour } from "./base";

type Widths = [number, number][];

/** Layers that may hold what is named, in both layouts. */
const LAYERS = {
  ground: ["earth"],
  green: ["landcover", "landuse", "park"],
  water: ["water"],
  waterways: ["waterway"],
  buildings: ["buildings", "building"],
  ways: ["roads", "transportation"],
  borders: ["boundaries", "boundary"],
  wayNames: ["roads", "transportation_name"],
  places: ["places", "place"],
};
const GREEN = /forest|wood|park|nature|grass|meadow|scrub|orchard|vineyard|wetland|protected/;
const GREAT = /motorway|trunk|highway|major|primary|secondary/;
const KINDS = ["country", "region", "state", "city", "locality", "town", "village", "hamlet"];

/** The word that says what a feature is, in either layout. */
function kindOf(feature: Feature | undefined): string {
  const { kind, kind_detail, class: sort, subclass } = feature?.props ?? {};
  return [kind, kind_detail, sort, subclass].filter((each) => typeof each === "string").join(" ");
}

function isGreat(_zoom: number, feature: Feature | undefined): boolean {
  return GREAT.test(kindOf(feature));
}

interface Options {
  pane: string;
  bounds: L.LatLngBoundsExpression;
}

/** A layer for a vector file; `maxZoom` is that of its finest tiles. */
export function vectorLayer(url: string, maxZoom: number, options: Options): L.GridLayer {
  // It makes a subclass of the Leaflet that stands here.
  (window as unknown as { L: typeof L }).L = L;
  return leafletLayer({
    ...options,
    url,
    maxDataZoom: maxZoom,
    attribution: "",
    paintRules: paintRules(),
    labelRules: labelRules(),
    lang: language.value,
  }) as unknown as L.GridLayer;
}

function paintRules(): PaintRule[] {
  const land = colour("map-land");
  const water = colour("map-sea");
  const line = (color: string, widths: Widths, dash?: number[]) =>
    new LineSymbolizer({ color, width: exp(1.6, widths), ...(dash ? { dash } : {}) });
  return [
    ...paints(LAYERS.ground, { symbolizer: new PolygonSymbolizer({ fill: land }) }),
    ...paints(LAYERS.green, {
      symbolizer: new PolygonSymbolizer({ fill: colour("map-green") }),
      filter: (_zoom, feature) => GREEN.test(kindOf(feature)),
    }),
    ...paints(LAYERS.water, {
      symbolizer: new PolygonSymbolizer({ fill: water }),
      filter: (_zoom, feature) => feature.geomType === 3,
    }),
    ...paints([...LAYERS.waterways, ...LAYERS.water], {
      symbolizer: line(colour("map-coast"), [[8, 0.5], [16, 3]]),
      filter: (_zoom, feature) => feature.geomType === 2,
    }),
    ...paints(LAYERS.buildings, { symbolizer: new PolygonSymbolizer({ fill: colour("map-grid") }), minzoom: 13 }),
    ...paints(LAYERS.ways, {
      symbolizer: line(colour("map-way"), [[11, 0.4], [18, 7]]),
      filter: (zoom, feature) => !isGreat(zoom, feature) && feature.geomType === 2,
    }),
    ...paints(LAYERS.ways, {
      symbolizer: line(colour("map-road"), [[6, 0.6], [18, 10]]),
      filter: isGreat,
    }),
    ...paints(LAYERS.borders, { symbolizer: line(colour("map-border"), [[3, 0.8], [12, 2]], [5, 4]) }),
  ];
}

function labelRules(): LabelRule[] {
  const ink = colour("text");
  const halo = colour("map-land");
  const names = [`name:${language.value}`, "name"];
  return [
    ...labels(LAYERS.places, {
      symbolizer: new CenteredTextSymbolizer({
        labelProps: names,
        fill: ink,
        stroke: halo,
        width: 3,
        font: (_zoom: number, feature?: Feature) => {
          const rank = KINDS.findIndex((each) => kindOf(feature).includes(each));
          return `${rank >= 0 && rank < 5 ? 600 : 400} ${rank >= 0 && rank < 4 ? 15 : 13}px sans-serif`;
        },
      }),
      sort: (one, other) => weightOf(other) - weightOf(one),
    }),
    ...labels(LAYERS.wayNames, {
      symbolizer: new LineLabelSymbolizer({
        labelProps: names,
        fill: ink,
        stroke: halo,
        width: 3,
        font: "400 12px sans-serif",
      }),
      minzoom: 13,
      filter: (_zoom, feature) => feature.geomType === 2,
    }),
  ];
}

/** What is named first where names would lie on each other: the larger place. */
function weightOf(props: Record<string, unknown>): number {
  const told = props["population_rank"] ?? props["pmap:population_rank"];
  if (typeof told === "number") return told;
  return typeof props["rank"] === "number" ? 100 - props["rank"] : 0;
}

function paints(layers: string[], rule: Omit<PaintRule, "dataLayer">): PaintRule[] {
  return layers.map((dataLayer) => ({ ...rule, dataLayer }));
}

function labels(layers: string[], rule: Omit<LabelRule, "dataLayer">): LabelRule[] {
  return layers.map((dataLayer) => ({ ...rule, dataLayer }));
}
