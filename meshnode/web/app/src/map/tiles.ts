// Detailed maps that lie in the home of the node, over the built-in one.
import L from "leaflet";
import { effect, signal } from "@preact/signals";
import { maps } from "../store";
import { language } from "../i18n";
import { theme } from "../theme";
import type { MapInfo } from "../types";
import { PmTiles } from "./pmtiles";

/** Names of maps that this screen cannot draw. */
export const undrawn = signal<string[]>([]);

/** Add every map of the home; `stop` takes them away. */
export function tileLayers(map: L.Map): () => void {
  undrawn.value = [];
  void maps.refresh();
  const added = new Map<string, L.Layer>();
  /** Makes a layer of vectors in the colours and the language of now, by address. */
  const makers = new Map<string, () => L.Layer>();
  const known = new Set<string>();
  let isGone = false;
  const put = (url: string, layer: L.Layer) => {
    added.get(url)?.remove();
    added.set(url, layer.addTo(map));
  };
  const add = async ({ name, url, south, west, north, east }: MapInfo) => {
    if (known.has(url)) return;
    known.add(url);
    const file = new PmTiles(url);
    const bounds = L.latLngBounds([south, west], [north, east]);
    try {
      const { minZoom, maxZoom, media } = await file.open();
      if (isGone) return;
      if (media) {
        put(url, new RasterLayer(file, { minNativeZoom: minZoom, maxNativeZoom: maxZoom, pane: "tiles", bounds }));
        return;
      }
      // Its code is as large as the rest of the map's, and most nodes have no such file.
      const { vectorLayer } = await import("./vectors");
      if (isGone) return;
      const make = () => vectorLayer(url, maxZoom, { pane: "tiles", bounds });
      makers.set(url, make);
      put(url, make());
    } catch {
      // The built-in one is there; but whoever put a map here waits for it.
      if (!isGone) undrawn.value = [...new Set([...undrawn.value, name])];
    }
  };
  const unwatch = effect(() => {
    for (const each of maps.value.value?.regions ?? []) void add(each);
  });
  const unpaint = effect(() => {
    void [theme.value, language.value];
    for (const [url, make] of makers) put(url, make());
  });
  return () => {
    isGone = true;
    unwatch();
    unpaint();
    for (const each of added.values()) each.remove();
  };
}

class RasterLayer extends L.GridLayer {
  constructor(
    private readonly file: PmTiles,
    options: L.GridLayerOptions,
  ) {
    super(options);
  }

  override createTile(at: L.Coords, done: L.DoneCallback): HTMLElement {
    const tile = document.createElement("img");
    tile.alt = "";
    this.file
      .tile(at.z, at.x, at.y)
      .then((picture) => {
        if (!picture) return done(undefined, tile);
        const address = URL.createObjectURL(picture);
        tile.onload = () => {
          URL.revokeObjectURL(address);
          done(undefined, tile);
        };
        tile.src = address;
      })
      .catch((thrown: Error) => done(thrown, tile));
    return tile;
  }
}
