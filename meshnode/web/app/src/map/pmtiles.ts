// Reads what a PMTiles file holds, and raster tiles out of it, by ranges. Source: PMTiles specification, version 3.

interface Entry {
  id: number;
  offset: number;
  length: number;
  run: number;
}

interface Header {
  root: [number, number];
  leaves: number;
  tiles: number;
  isGzipped: boolean;
  /** Type of the pictures; empty for a map of vectors. */
  media: string;
  minZoom: number;
  maxZoom: number;
}

const HEADER_BYTES = 127;
/** A directory leads to another one at most so often. */
const DEPTH_MAX = 4;
const LEAVES_KEPT_MAX = 64;
const ENTRIES_MAX = 200_000;
/** Of one piece of a file; more is a lie. */
const PIECE_BYTES_MAX = 16 * 1024 * 1024;
/** Of a directory once it is unpacked: 200,000 entries. */
const DIRECTORY_BYTES_MAX = 8 * 1024 * 1024;
const MEDIA: Record<number, string> = { 2: "image/png", 3: "image/jpeg", 4: "image/webp", 5: "image/avif" };
const VECTORS = 1;
const GZIP = 2;

export class PmTiles {
  #header: Promise<Header> | null = null;
  readonly #directories = new Map<number, Promise<Entry[]>>();

  constructor(private readonly address: string) {}

  /** Zoom levels and media type. Raises: Error if it is no PMTiles file of a kind that is drawn. */
  header(): Promise<Header> {
    this.#header ??= this.#readHeader();
    return this.#header;
  }

  /** The header, once the first directory was read as well. Raises: Error as `header`. */
  async open(): Promise<Header> {
    const header = await this.header();
    await this.#directory(header, ...header.root);
    return header;
  }

  /** The picture of a tile, null where there is none. */
  async tile(zoom: number, x: number, y: number): Promise<Blob | null> {
    const header = await this.header();
    const wanted = tileId(zoom, x, y);
    let [offset, length] = header.root;
    for (let depth = 0; depth < DEPTH_MAX; depth++) {
      const entry = found(await this.#directory(header, offset, length), wanted);
      if (!entry) return null;
      if (entry.run > 0) {
        if (wanted >= entry.id + entry.run) return null;
        const bytes = await this.#range(header.tiles + entry.offset, entry.length);
        return new Blob([bytes], { type: header.media });
      }
      [offset, length] = [header.leaves + entry.offset, entry.length];
    }
    return null;
  }

  async #readHeader(): Promise<Header> {
    const view = new DataView(await this.#range(0, HEADER_BYTES));
    const magic = String.fromCharCode(...new Uint8Array(view.buffer, 0, 7));
    const media = view.getUint8(99) === VECTORS ? "" : MEDIA[view.getUint8(99)];
    if (magic !== "PMTiles" || view.getUint8(7) !== 3 || media === undefined) throw new Error("no map");
    const at = (place: number) => Number(view.getBigUint64(place, true));
    return {
      root: [at(8), at(16)],
      leaves: at(40),
      tiles: at(56),
      isGzipped: view.getUint8(97) === GZIP,
      media,
      minZoom: view.getUint8(100),
      maxZoom: view.getUint8(101),
    };
  }

  #directory(header: Header, offset: number, length: number): Promise<Entry[]> {
    let known = this.#directories.get(offset);
    if (!known) {
      if (this.#directories.size >= LEAVES_KEPT_MAX) this.#directories.clear();
      known = this.#range(offset, length)
        .then((raw) => (header.isGzipped ? gunzip(raw) : raw))
        .then(entries);
      this.#directories.set(offset, known);
    }
    return known;
  }

  async #range(offset: number, length: number): Promise<ArrayBuffer> {
    if (!(length <= PIECE_BYTES_MAX)) throw new Error("a piece of a map is too large");
    const answer = await fetch(this.address, {
      headers: { Range: `bytes=${offset}-${offset + length - 1}` },
    });
    if (answer.status !== 206) throw new Error("no range of a map");
    const raw = await answer.arrayBuffer();
    if (raw.byteLength !== length) throw new Error("no range of a map");
    return raw;
  }
}

/** Unpack a directory, and stop before a small one becomes one that fills the memory. */
async function gunzip(raw: ArrayBuffer): Promise<ArrayBuffer> {
  const reader = new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts).arrayBuffer();
    size += value.byteLength;
    if (size > DIRECTORY_BYTES_MAX) {
      await reader.cancel();
      throw new Error("a directory of a map is too large");
    }
    parts.push(value);
  }
}

/** The entry that covers `wanted` or leads to it: the last one that begins no later. */
function found(directory: Entry[], wanted: number): Entry | undefined {
  let [low, high] = [0, directory.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (directory[middle]!.id <= wanted) low = middle + 1;
    else high = middle;
  }
  return directory[low - 1];
}

function entries(raw: ArrayBuffer): Entry[] {
  const bytes = new Uint8Array(raw);
  let place = 0;
  const next = (): number => {
    let [value, scale] = [0, 1];
    for (;;) {
      const byte = bytes[place++];
      if (byte === undefined) throw new Error("a directory of a map ends too soon");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
  };
  const count = next();
  if (count > ENTRIES_MAX) throw new Error("a directory of a map is too large");
  const made: Entry[] = [];
  let id = 0;
  for (let at = 0; at < count; at++) made.push({ id: (id += next()), run: 0, length: 0, offset: 0 });
  for (const each of made) each.run = next();
  for (const each of made) each.length = next();
  made.forEach((each, at) => {
    const told = next();
    const before = made[at - 1];
    each.offset = told === 0 && before ? before.offset + before.length : told - 1;
  });
  return made;
}

/** Number of a tile on the Hilbert curves of all zoom levels, one after another. */
export function tileId(zoom: number, x: number, y: number): number {
  let id = (4 ** zoom - 1) / 3;
  let [px, py] = [x, y];
  for (let side = 2 ** (zoom - 1); side >= 1; side /= 2) {
    const isRight = (px & side) > 0 ? 1 : 0;
    const isLow = (py & side) > 0 ? 1 : 0;
    id += side * side * ((3 * isRight) ^ isLow);
    if (!isLow) {
      if (isRight) [px, py] = [side - 1 - px, side - 1 - py];
      [px, py] = [py, px];
    }
    px &= side - 1;
    py &= side - 1;
  }
  return id;
}
