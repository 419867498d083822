// Cuts the built-in base map: western Europe and the overseas departments, of Natural Earth 1:10m
// (public domain). Writes public/map/base.json, GeoJSON of land and of borders between countries.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { geoIdentity, geoPath } from "d3-geo";
import { feature, merge, mesh } from "topojson-client";
import { BOXES } from "./boxes.mjs";

const source = new URL("../node_modules/world-atlas/countries-10m.json", import.meta.url);
const target = new URL("../public/map/base.json", import.meta.url);

/** Degrees between two steps of a coordinate: some 200 metres. */
const STEP = 0.002;

const world = JSON.parse(readFileSync(source, "utf8"));
const countries = world.objects.countries;
const shapes = {
  land: merge(world, countries.geometries),
  borders: mesh(world, countries, (a, b) => a !== b),
};
const names = feature(world, countries).features.map((each) => each.properties.name);
if (!names.includes("France")) throw new Error("world-atlas has no France: its format changed");

const layers = { land: [], borders: [] };
for (const [west, south, east, north] of Object.values(BOXES)) {
  const clip = geoIdentity().clipExtent([
    [west, south],
    [east, north],
  ]);
  for (const [name, shape] of Object.entries(shapes)) layers[name].push(linesOf(shape, clip));
}
mkdirSync(new URL(".", target), { recursive: true });
writeFileSync(
  target,
  JSON.stringify({ schema: 1, source: "Natural Earth 1:10m", boxes: BOXES, ...layers }),
);

/** The lines of a shape inside the clip, on the grid of STEP; rings where the shape has areas. */
function linesOf(shape, clip) {
  const lines = [];
  const context = {
    moveTo: (x, y) => lines.push([grid(x, y)]),
    lineTo: (x, y) => add(lines.at(-1), grid(x, y)),
    closePath: () => {},
    arc: () => {},
  };
  geoPath(clip, context)(shape);
  return lines.filter((line) => line.length > 1);
}

function add(line, point) {
  const [x, y] = line.at(-1);
  if (x !== point[0] || y !== point[1]) line.push(point);
}

function grid(x, y) {
  return [round(x), round(y)];
}

function round(degrees) {
  return Number((Math.round(degrees / STEP) * STEP).toFixed(3));
}
