// What the screens show, fetched from the node and fetched anew when an event says it changed.
// Nothing of it is kept in the browser: the node keeps it, sealed.
import { batch, computed, signal } from "@preact/signals";
import { ask, session } from "./api";
import { around, nearby } from "./coverage";
import { Resource } from "./resource";
import { setClock } from "./time";
import type {
  Alarm,
  ArchiveStatus,
  AuditLog,
  Board,
  Budget,
  Card,
  FileEntry,
  ForeignMark,
  Incoming,
  MapsFound,
  MessageStory,
  Names,
  OrderRequest,
  Outgoing,
  Peer,
  Position,
  PurgeEntry,
  Readiness,
  Rosters,
  Sensor,
  SheetEntry,
  Shift,
  Status,
  Term,
  Uplink,
} from "./types";

const PAGE = 500;

export const status = new Resource(() => ask<Status>("status"));
export const names = new Resource(() => ask<Names>("names"));
export const board = new Resource(async () => {
  const found = await ask<Board>("board");
  setClock(found.now_ms);
  return found;
});
export const positions = new Resource(async () => (await ask<{ positions: Position[] }>("positions")).positions);
export const foreign = new Resource(async () => (await ask<{ marks: ForeignMark[] }>("tak")).marks);
export const shift = new Resource(() => ask<Shift>("shift"));
export const alarms = new Resource(async () => (await ask<{ alarms: Alarm[] }>("alarms")).alarms);
export const files = new Resource(async () => (await ask<{ files: FileEntry[] }>("files")).files);
export const sheets = new Resource(() => ask<{ version: number; sheets: SheetEntry[] }>("sheets"));
export const peers = new Resource(async () => (await ask<{ peers: Peer[] }>("peers")).peers);
export const uplink = new Resource(() => ask<Uplink>("uplink"));
export const budgets = new Resource(async () => (await ask<{ bearers: Budget[] }>("budget")).bearers);
export const readiness = new Resource(() => ask<Readiness>("check"));
export const sensors = new Resource(async () => (await ask<{ sensors: Sensor[] }>("sensors")).sensors);
export const audit = new Resource(() => ask<AuditLog>("audit?limit=50"));
export const maps = new Resource(() => ask<MapsFound>("map"));

export const card = new Resource(() => ask<Card>("card"));
export const rosters = new Resource(() => ask<Rosters>("members"));
export const requests = new Resource(
  async () => (await ask<{ requests: OrderRequest[] }>("order-requests")).requests,
);
export const archive = new Resource(() => ask<ArchiveStatus>("archive"));
export const terms = new Resource(async () => (await ask<{ terms: Term[] }>("retention")).terms);
export const purges = new Resource(
  async () => (await ask<{ entries: PurgeEntry[] }>("retention/log?limit=50")).entries,
);

/** Messages come page after page; those that are known are not asked for again. */
export const inbox: Resource<Incoming[]> = new Resource(() => pages<Incoming>("inbox", inbox.value.value ?? []));
export const outgoing = new Resource(() => pages<Outgoing>("outgoing", []));

async function pages<T extends { key: number }>(which: string, known: T[]): Promise<T[]> {
  const found = [...known];
  for (;;) {
    const after = found.at(-1)?.key ?? 0;
    const { messages } = await ask<{ messages: T[] }>(
      `messages/${which}?after=${after}&limit=${PAGE}`,
    );
    found.push(...messages);
    if (messages.length < PAGE) return found;
  }
}

export function markedRead(key: number): void {
  const known = inbox.value.value ?? [];
  const at = known.findIndex((each) => each.key === key);
  const found = known[at];
  if (found) found.is_read = true;
  readCount.value++;
}

/** Counts messages marked as read here, so that what depends on them is looked at anew. */
export const readCount = signal(0);

export const unread = computed(() => {
  void readCount.value;
  return (inbox.value.value ?? []).filter((each) => !each.is_read && each.kind !== "sos").length;
});

/** What was begun to each recipient, while the page stays open. */
export const drafts = signal<Record<string, string>>({});

/** Why the last SOS could not be sent; empty where it could, or is tried again. */
export const sosFault = signal("");

/** Whoever comes next must not find what somebody else began. */
export function forgetBegun(): void {
  drafts.value = {};
  sosFault.value = "";
}

interface Draft {
  text: string;
  write: (words: string) => void;
  /** Forget the words that were sent; what was typed while they left stays. */
  sent: () => void;
}

/** What was begun to one recipient, and a way to write it on. */
export function draft(to: string): Draft {
  const text = drafts.value[to] ?? "";
  const write = (words: string) => (drafts.value = { ...drafts.value, [to]: words });
  const sent = () => {
    if (drafts.value[to] === text) write("");
  };
  return { text, write, sent };
}

/** The whole story of messages, by their local number. */
const stories = new Map<number, Resource<MessageStory>>();
/** By how many parts of the page each is shown now: only those are fetched anew. */
const shown = new Map<number, number>();

export function story(key: number): Resource<MessageStory> {
  let found = stories.get(key);
  if (!found) stories.set(key, (found = new Resource(() => ask<MessageStory>(`messages/${key}`))));
  return found;
}

/** Fetch a story, and again at each event that may change it, until what is returned is called. */
export function showStory(key: number): () => void {
  shown.set(key, (shown.get(key) ?? 0) + 1);
  void story(key).refresh();
  return () => {
    const left = (shown.get(key) ?? 1) - 1;
    if (left > 0) shown.set(key, left);
    else shown.delete(key);
  };
}

const AGENT = [names, board, positions, shift, alarms, files, sheets, inbox, outgoing];
/** Fetched by the pages that show them. */
const ON_DEMAND = [
  ...[foreign, peers, uplink, budgets, audit, readiness, sensors, maps, nearby, around, card],
  ...[rosters, requests, archive, terms, purges],
];
const ALL: Resource<unknown>[] = [status, ...AGENT, ...ON_DEMAND];

export const isOperator = computed(() => session.value?.role === "operator");
export const isAgent = computed(() => session.value !== null && session.value.role !== "reader");

/** Fetch all that the session may see, and what pages asked for before the node was away. */
export async function refreshAll(): Promise<void> {
  const wanted: Resource<unknown>[] = isAgent.value ? [status, ...AGENT] : [status, positions];
  wanted.push(...ON_DEMAND.filter((each) => each.fetchedMs.value), ...[...shown.keys()].map(story));
  await Promise.all(wanted.map((each) => each.refresh()));
}

/** Forget everything: nobody is signed in, or the agent's keys are shut. */
export function clearAll(): void {
  due.clear();
  batch(() => {
    for (const each of ALL) each.clear();
    stories.clear();
  });
}

/** What each event of the node makes stale. */
const STALE: Record<string, Resource<unknown>[]> = {
  alarm_changed: [alarms, inbox],
  message_arrived: [inbox, files],
  message_changed: [outgoing, files],
  peer_up: [status, peers, board, uplink],
  peer_down: [status, peers, board, uplink],
  bundles_stored: [board, positions, shift, files, sheets, nearby, around],
  documents_changed: [names, status, board, sheets, rosters],
  equivocation: [status, audit],
  lock_changed: [status],
  disk_changed: [status, archive],
};
const GATHERED_MS = 150;
const due = new Set<Resource<unknown>>();
let timer = 0;

/** Take note of an event; many in a row come to one fetch of each thing. */
export function note(event: { event: string; key?: number }): void {
  for (const each of STALE[event.event] ?? []) {
    // What no page has asked for is not fetched for an event.
    if (each.fetchedMs.value) due.add(each);
  }
  if (event.event === "message_changed" && event.key !== undefined) {
    if (shown.has(event.key)) due.add(story(event.key));
  }
  if (event.event === "bundles_stored" || event.event.startsWith("peer_")) {
    for (const key of shown.keys()) {
      if (story(key).value.value?.direction === "outgoing") due.add(story(key));
    }
  }
  timer ||= window.setTimeout(() => {
    timer = 0;
    const now = [...due];
    due.clear();
    for (const each of now) void each.refresh();
  }, GATHERED_MS);
}
