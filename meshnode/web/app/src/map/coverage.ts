// The cells of the coverage map as a layer: coloured by how likely a network works there.
import L from "leaflet";
import { cellWords, levelOf, type CoverageCell } from "../coverage";

const PANE = "coverage";

export class CoverageLayer {
  readonly #drawn: L.LayerGroup;
  readonly #renderer: L.Renderer;

  constructor(map: L.Map) {
    map.createPane(PANE).classList.add("pane-coverage");
    this.#renderer = L.svg({ pane: PANE, padding: 0.3 });
    this.#drawn = L.layerGroup().addTo(map);
  }

  show(cells: CoverageCell[]): void {
    this.#drawn.clearLayers();
    for (const cell of cells) {
      L.rectangle(
        [
          [cell.south, cell.west],
          [cell.north, cell.east],
        ],
        // Colours are those of the style sheet, which another theme changes.
        { renderer: this.#renderer, pane: PANE, className: `cover ${levelOf(cell)}`, weight: 1 },
      )
        .bindTooltip(cellWords(cell), { sticky: true })
        .addTo(this.#drawn);
    }
  }
}
