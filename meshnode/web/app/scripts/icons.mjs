// Draws the icon of the screens as SVG and as PNG: three nodes of a mesh on a blue ground.
import { mkdirSync, writeFileSync } from "node:fs";
import { crc32 } from "./crc32.mjs";
import { deflateSync } from "node:zlib";

const GROUND = [0x17, 0x3f, 0x6b];
const INK = [0xff, 0xff, 0xff];
const SIDE = 512;
/** Centre and radius of each node; every two are joined. */
const NODES = [
  [256, 142, 52],
  [130, 352, 52],
  [382, 352, 52],
];
const LINE = 26;

const folder = new URL("../public/icons/", import.meta.url);
mkdirSync(folder, { recursive: true });
writeFileSync(new URL("icon.svg", folder), svg());
for (const side of [192, 512]) writeFileSync(new URL(`icon-${side}.png`, folder), png(side));

function svg() {
  const [a, b, c] = NODES;
  const circles = NODES.map(([x, y, r]) => `<circle cx="${x}" cy="${y}" r="${r}"/>`).join("");
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIDE} ${SIDE}">` +
    `<rect width="${SIDE}" height="${SIDE}" fill="#${GROUND.map(hex).join("")}"/>` +
    `<path d="M${a[0]} ${a[1]}L${b[0]} ${b[1]}L${c[0]} ${c[1]}Z" fill="none" stroke="#fff" stroke-width="${LINE}"/>` +
    `<g fill="#fff">${circles}</g></svg>\n`
  );
}

/** The same as a picture of `side` by `side` pixels, four samples each way in every pixel. */
function png(side) {
  const rows = Buffer.alloc(side * (1 + 3 * side));
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const share = covered(x, y, SIDE / side);
      for (let each = 0; each < 3; each++) {
        const value = GROUND[each] + share * (INK[each] - GROUND[each]);
        rows[y * (1 + 3 * side) + 1 + 3 * x + each] = Math.round(value);
      }
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const parts = [chunk("IHDR", header), chunk("IDAT", deflateSync(rows)), chunk("IEND", Buffer.alloc(0))];
  return Buffer.concat([signature, ...parts]);
}

function covered(x, y, scale) {
  let inside = 0;
  for (let step = 0; step < 16; step++) {
    const px = (x + (step % 4) / 4 + 0.125) * scale;
    const py = (y + Math.floor(step / 4) / 4 + 0.125) * scale;
    if (isInk(px, py)) inside++;
  }
  return inside / 16;
}

function isInk(x, y) {
  if (NODES.some(([cx, cy, r]) => Math.hypot(x - cx, y - cy) <= r)) return true;
  return NODES.some((from, at) => distance(x, y, from, NODES[(at + 1) % NODES.length]) <= LINE / 2);
}

function distance(x, y, [ax, ay], [bx, by]) {
  const along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2);
  const at = Math.min(1, Math.max(0, along));
  return Math.hypot(x - ax - at * (bx - ax), y - ay - at * (by - ay));
}

function chunk(name, data) {
  const body = Buffer.concat([Buffer.from(name, "latin1"), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}

function hex(value) {
  return value.toString(16).padStart(2, "0");
}
