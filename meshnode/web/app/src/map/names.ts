// Names of towns on the built-in map: the larger ones first, the fewer the further away, none over
// another. A picture for the eye alone: whoever hears the page has the list beside the map.
import L from "leaflet";
import { colour } from "./base";

type Place = [name: string, longitude: number, latitude: number, people: number];

/** Beyond the edges, so that a short move shows no bare strip; a part of the view. */
const PADDING = 0.25;
/** Names that are drawn at once; a wall of 4K has room for some 600 without collisions. */
const NAMES_MAX = 600;
const GAP_PX = 6;
const DOT_PX = 2.5;
/** At this zoom towns of so many people are named; each step further in names a quarter of it. */
const FIRST = { zoom: 4, people: 1_500_000 };

let fetched: Promise<Place[]> | null = null;

function places(): Promise<Place[]> {
  fetched ??= fetch("/map/places.json").then(async (answer) => {
    if (!answer.ok) throw new Error("no names");
    return ((await answer.json()) as { places: Place[] }).places;
  });
  fetched.catch(() => (fetched = null));
  return fetched;
}

interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export class PlaceNames extends L.Layer {
  #canvas: HTMLCanvasElement | null = null;
  #places: Place[] = [];

  constructor(pane: string) {
    super();
    // A layer of Leaflet takes no options by itself.
    L.setOptions(this, { pane });
  }

  override onAdd(map: L.Map): this {
    this.#canvas = L.DomUtil.create("canvas", "leaflet-zoom-hide", this.getPane());
    this.#canvas.setAttribute("aria-hidden", "true");
    map.on("moveend resize", this.draw, this);
    // Without names the map is as good as it was; the next map asks again.
    void places()
      .then((found) => {
        this.#places = found;
        this.draw();
      })
      .catch(() => undefined);
    return this;
  }

  override onRemove(map: L.Map): this {
    map.off("moveend resize", this.draw, this);
    this.#canvas?.remove();
    this.#canvas = null;
    return this;
  }

  /** Draw what is in view, in the colours of now. Cost: O(places), and a few ms for the letters. */
  draw(): void {
    const canvas = this.#canvas;
    const map = this._map as L.Map | undefined;
    if (!canvas || !map || !this.#places.length) return;
    const view = map.getSize();
    const corner = map.containerPointToLayerPoint(view.multiplyBy(-PADDING)).round();
    const size = view.multiplyBy(1 + 2 * PADDING).round();
    const scale = window.devicePixelRatio;
    canvas.width = size.x * scale;
    canvas.height = size.y * scale;
    canvas.style.width = `${size.x}px`;
    canvas.style.height = `${size.y}px`;
    L.DomUtil.setPosition(canvas, corner);
    const context = canvas.getContext("2d");
    if (!context) return;
    context.scale(scale, scale);
    context.lineJoin = "round";
    context.lineWidth = 3;
    context.strokeStyle = colour("map-land");
    context.fillStyle = colour("muted");
    context.textBaseline = "middle";
    this.#write(map, context, corner, size);
  }

  #write(map: L.Map, context: CanvasRenderingContext2D, corner: L.Point, size: L.Point): void {
    const least = FIRST.people / 4 ** (map.getZoom() - FIRST.zoom);
    const bounds = map.getBounds().pad(PADDING);
    const family = getComputedStyle(document.body).fontFamily;
    const taken: Box[] = [];
    for (const [name, longitude, latitude, people] of this.#places) {
      // The largest come first.
      if (people < least || taken.length >= NAMES_MAX) return;
      if (!bounds.contains([latitude, longitude])) continue;
      const at = map.latLngToLayerPoint([latitude, longitude]).subtract(corner);
      const height = people >= 16 * least ? 14 : 12;
      context.font = `${people >= 16 * least ? 600 : 400} ${height}px ${family}`;
      const left = at.x + 2 * DOT_PX;
      const box = {
        left: at.x - DOT_PX - GAP_PX,
        top: at.y - height / 2 - GAP_PX,
        right: left + context.measureText(name).width + GAP_PX,
        bottom: at.y + height / 2 + GAP_PX,
      };
      if (box.left < 0 || box.right > size.x || taken.some((each) => touch(each, box))) continue;
      taken.push(box);
      context.beginPath();
      context.arc(at.x, at.y, DOT_PX, 0, 2 * Math.PI);
      context.fill();
      context.strokeText(name, left, at.y);
      context.fillText(name, left, at.y);
    }
  }
}

function touch(one: Box, other: Box): boolean {
  return one.left < other.right && other.left < one.right && one.top < other.bottom && other.top < one.bottom;
}
