// Keeps the focus where one can go on from. Pressing a button often takes that button away: then the
// focus goes to what it stood in, never back to the beginning of everything.

/** What has the focus, and all that it stands in, the nearest first. */
let chain: HTMLElement[] = [];
/** The address of the page that was left by its way back; empty for none. */
let left = "";

/** What had the focus, and what it stood in, when a dialog took it. */
const before = new WeakMap<HTMLElement, HTMLElement[]>();

const HEADINGS = "h1, h2, h3, legend";

/** Look after the focus from now on. */
export function startFocus(): void {
  addEventListener("focusin", (event) => (chain = chainOf(event.target)));
  addEventListener("focusout", () => queueMicrotask(letGo));
  const marks = { subtree: true, childList: true, attributes: true, attributeFilter: ["disabled"] };
  new MutationObserver(keep).observe(document.body, marks);
  // Headings that a program gave the focus are outlined for whoever goes by keys.
  addEventListener("keydown", () => touched(true), true);
  addEventListener("pointerdown", () => touched(false), true);
}

function touched(isByKey: boolean): void {
  left = "";
  document.documentElement.toggleAttribute("data-keys", isByKey);
}

/** Take note that a dialog takes the focus, which is given back once it is gone. */
export function taking(dialog: HTMLElement): void {
  before.set(dialog, chain);
}

/** Take note that a page is left by its way back: the focus goes to the link that led to it. */
export function goingBack(): void {
  left = location.hash;
}

/** Give the focus to a page that has just been opened: to its heading, or where one came from. */
export function enter(heading: HTMLElement): void {
  const page = heading.closest<HTMLElement>(".page");
  if (heading.checkVisibility()) give((page && cameFrom(page)) ?? heading);
}

function chainOf(target: EventTarget | null): HTMLElement[] {
  const found: HTMLElement[] = [];
  for (let at = target instanceof HTMLElement ? target : null; at; at = at.parentElement) found.push(at);
  return found;
}

const isLost = (element: HTMLElement): boolean => !element.isConnected || element.matches(":disabled");

/** Whoever pressed beside everything has no focus to be kept. */
function letGo(): void {
  const isNowhere = document.activeElement === null || document.activeElement === document.body;
  if (isNowhere && chain[0] && !isLost(chain[0])) chain = [];
}

function keep(): void {
  const [had] = chain;
  if (!had || !isLost(had)) return;
  const now = document.activeElement;
  if (now instanceof HTMLElement && now !== document.body && now !== had) return;
  const closed = chain.find((each) => before.has(each) && !each.isConnected);
  const around = (closed && before.get(closed)) ?? chain;
  chain = [];
  for (const [at, each] of around.entries()) {
    if (isLost(each)) continue;
    const next = each.tabIndex >= 0 ? each : (cameFrom(each) ?? headingIn(each, around[at - 1]));
    if (next) return give(next);
  }
  const heading = headingIn(document.body, undefined);
  if (heading) give(heading);
}

/** The heading of what stood in `element`: the nearest before it, or the first where it is gone. */
function headingIn(element: HTMLElement, inside: HTMLElement | undefined): HTMLElement | undefined {
  const all = [...element.querySelectorAll<HTMLElement>(HEADINGS)].filter(
    (each) => each.checkVisibility() && !each.matches(".hidden"),
  );
  if (!inside?.isConnected || element.matches("dialog")) return all[0];
  const isBefore = (each: HTMLElement) =>
    (inside.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_PRECEDING) !== 0;
  return all.filter(isBefore).at(-1);
}

function cameFrom(element: HTMLElement): HTMLElement | undefined {
  if (!left) return undefined;
  const links = [...element.querySelectorAll<HTMLElement>("a[href]")];
  return links.find((each) => each.getAttribute("href") === left && each.checkVisibility());
}

function give(element: HTMLElement): void {
  if (element.tabIndex < 0) element.tabIndex = -1;
  element.focus();
}
