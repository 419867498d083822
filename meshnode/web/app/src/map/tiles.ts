// Detailed maps that lie in the home of the node, over the built-in one.
import L from "leaflet";
import { effect } from "@preact/signals";
import { maps } from "../store";
import { PmTiles } from "./pmtiles";

/** Add every raster map of the home; `stop` takes them away. */
export function tileLayers(map: L.Map): () => void {
  void maps.refresh();
  const added: L.Layer[] = [];
  const known = new Set<string>();
  let isGone = false;
  const add = async (url: string) => {
    if (known.has(url)) return;
    known.add(url);
    const file = new PmTiles(url);
    try {
      const { minZoom, maxZoom } = await file.header();
      if (isGone) return;
      const layer = new RasterLayer(file, { minNativeZoom: minZoom, maxNativeZoom: maxZoom, pane: "tiles" });
      added.push(layer.addTo(map));
    } catch {
      // A map of another form (vectors) is of use to other programs; the built-in one is there.
    }
  };
  const unwatch = effect(() => {
    for (const each of maps.value.value ?? []) void add(each.url);
  });
  return () => {
    isGone = true;
    unwatch();
    for (const each of added) each.remove();
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
