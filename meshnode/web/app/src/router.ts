// Where the user is: the part of the address after #, so that a page needs nothing from the node.
import { computed, signal } from "@preact/signals";

const hash = signal(location.hash);
addEventListener("hashchange", () => (hash.value = location.hash));

/** The page's name and what follows it, decoded: `#/messages/squad%3AQueyras`. */
export const route = computed(() => {
  const [page = "", ...rest] = hash.value.replace(/^#\/?/, "").split("/");
  return { page, rest: rest.map(decoded) };
});

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function href(page: string, ...rest: (string | number)[]): string {
  return `#/${[page, ...rest.map((each) => encodeURIComponent(each))].join("/")}`;
}

export function go(page: string, ...rest: (string | number)[]): void {
  location.hash = href(page, ...rest);
}

/** Change the address without a step in the history. */
export function replace(page: string, ...rest: (string | number)[]): void {
  history.replaceState(null, "", href(page, ...rest));
  hash.value = location.hash;
}
