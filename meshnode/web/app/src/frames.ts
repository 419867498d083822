// Texts that are too long for one QR code, as several: each frame says of which text it is, its
// number and how many there are. The text has its own check at the end, so frames need none.

const WORD = "MESHQ1";
/** What one code shows: dense, but read by the camera of an old phone. */
const CHUNK = 700;
/** So much is one frame without more; an invitation and a card are. */
const WHOLE = 1_000;
/** More takes minutes to scan: carry it as a file. */
export const TEXT_MAX = 120_000;
const FRAMES_MAX = Math.ceil(TEXT_MAX / CHUNK);

/** The codes that show `text`, at most `FRAMES_MAX` of them; `name` tells texts apart. */
export function framesOf(text: string, name: string): string[] {
  if (text.length <= WHOLE) return [text];
  const total = Math.ceil(text.length / CHUNK);
  return Array.from(
    { length: total },
    (_, at) => `${WORD}:${name}:${at + 1}:${total}:${text.slice(at * CHUNK, (at + 1) * CHUNK)}`,
  );
}

/** Six letters that follow from a text, so that frames of two texts are never mixed. */
export async function nameOf(text: string): Promise<string> {
  // On plain HTTP from another machine there is no digest, and no camera either.
  if (!crypto.subtle) return text.slice(-6);
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest).slice(0, 3)].map((each) => each.toString(16).padStart(2, "0")).join("");
}

/** Takes what a camera sees until a text is whole. */
export class Gathering {
  #name = "";
  #parts: (string | undefined)[] = [];

  get have(): number {
    return this.#parts.filter((each) => each !== undefined).length;
  }

  get total(): number {
    return this.#parts.length;
  }

  /** Numbers of the frames that have not been seen, from 1. */
  get missing(): number[] {
    return [...this.#parts.entries()].filter(([, each]) => each === undefined).map(([at]) => at + 1);
  }

  /** Take one code; the whole text once it is there, else null. */
  take(code: string): string | null {
    const found = /^MESHQ1:(\w{1,12}):(\d{1,4}):(\d{1,4}):([\s\S]*)$/.exec(code);
    if (!found) return code;
    const [name, at, total, part] = [found[1]!, Number(found[2]), Number(found[3]), found[4]!];
    if (at < 1 || at > total || total > FRAMES_MAX) return null;
    if (name !== this.#name || total !== this.#parts.length) {
      this.#name = name;
      this.#parts = Array.from({ length: total }, () => undefined);
    }
    this.#parts[at - 1] = part;
    return this.missing.length ? null : this.#parts.join("");
  }
}
