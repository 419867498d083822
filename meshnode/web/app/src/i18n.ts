// Words in French and English. tests/web/test_catalogues.py holds both catalogues against the code.
import { signal } from "@preact/signals";
import en from "./locale/en.json";
import fr from "./locale/fr.json";

export type Key = keyof typeof fr;
export type Language = "fr" | "en";

const CATALOGUES: Record<Language, Record<string, string>> = { fr, en };
const REMEMBERED = "meshnode.language";

export const language = signal<Language>(first());

function first(): Language {
  const kept = localStorage.getItem(REMEMBERED);
  if (kept === "fr" || kept === "en") return kept;
  const wanted = navigator.languages.map((each) => each.slice(0, 2));
  return wanted.find((each) => each === "fr" || each === "en") === "en" ? "en" : "fr";
}

export function setLanguage(chosen: Language): void {
  localStorage.setItem(REMEMBERED, chosen);
  language.value = chosen;
  document.documentElement.lang = chosen;
}

/** The words of `key`, with `{name}` replaced by what `values` has under that name. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const words = CATALOGUES[language.value][key] ?? key;
  return words.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** The words for a number of things: `key.one` or `key.many`, with `{count}`. */
export function counted(key: CountedKey, count: number, values: Record<string, string> = {}): string {
  const isOne = language.value === "fr" ? Math.abs(count) < 2 : count === 1;
  return t(`${key}.${isOne ? "one" : "many"}` as Key, { count, ...values });
}

type CountedKey = Key extends infer K ? (K extends `${infer Base}.one` ? Base : never) : never;

/** The words of `prefix.word`, or `word` itself where the node says one that is not known here. */
export function told(prefix: string, word: string): string {
  const key = `${prefix}.${word.replaceAll(" ", "_")}`;
  return CATALOGUES[language.value][key] ?? word;
}
