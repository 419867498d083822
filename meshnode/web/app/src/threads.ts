// Conversations: who a message was exchanged with, from the two lists that the node keeps.
import { computed } from "@preact/signals";
import { told } from "./i18n";
import { inbox, names, outgoing, readCount } from "./store";
import type { Incoming, Outgoing } from "./types";

export type Entry = ({ way: "in" } & Incoming) | ({ way: "out" } & Outgoing);

export interface Thread {
  /** What a message to it is addressed to: `codt`, `zone`, `squad:NAME`, or a device's name. */
  to: string;
  entries: Entry[];
  unread: number;
  lastMs: number;
}

const isGroup = (to: string): boolean => to === "zone" || to.startsWith("squad:");

/** The conversation that an incoming message belongs to. */
function threadOf(message: Incoming): string {
  // What comes to the operations centre is answered to whoever wrote it.
  return isGroup(message.to) ? message.to : message.from;
}

export const threads = computed<Thread[]>(() => {
  void readCount.value;
  const found = new Map<string, Thread>();
  const thread = (to: string): Thread => {
    let known = found.get(to);
    if (!known) found.set(to, (known = { to, entries: [], unread: 0, lastMs: 0 }));
    return known;
  };
  for (const to of partners.value) thread(to);
  for (const message of inbox.value.value ?? []) {
    if (message.kind === "sos") continue;
    const into = thread(threadOf(message));
    into.entries.push({ way: "in", ...message });
    if (!message.is_read) into.unread++;
  }
  for (const message of outgoing.value.value ?? []) {
    if (message.kind !== "sos") thread(message.to).entries.push({ way: "out", ...message });
  }
  for (const each of found.values()) {
    each.entries.sort((a, b) => shownMs(a) - shownMs(b) || a.key - b.key);
    each.lastMs = each.entries.length ? shownMs(each.entries.at(-1)!) : 0;
  }
  return [...found.values()].sort((a, b) => b.lastMs - a.lastMs);
});

/** Conversations that stand in the list before anything was written in them. */
const partners = computed(() => {
  const known = names.value.value;
  if (!known) return [];
  const own = known.squads.filter((each) => each.is_own);
  const hasCentre = known.units.some((each) => each.to === "codt" && each.devices > 0);
  // Whoever is in no squad is of the centre, and speaks with all of them.
  return [
    ...(own.length ? own : known.squads).map((each) => each.to),
    ...(own.length && hasCentre ? ["codt"] : []),
  ];
});

/** When an entry took its place in the conversation, Unix milliseconds. */
export function shownMs(entry: Entry): number {
  return entry.way === "in" ? entry.received_ms : entry.created_ms;
}

/** What people call the other side. */
export function titleOf(to: string): string {
  if (to.startsWith("squad:")) return to.slice("squad:".length);
  return to === "codt" || to === "zone" ? told("to", to) : to;
}

/** A word about what the other side is. */
export function kindOf(to: string): string {
  if (to.startsWith("squad:")) return told("to.kind", "squad");
  return to === "codt" || to === "zone" ? told("to.kind", to) : told("to.kind", "device");
}

/** What the node is told as the recipient: the id where it is known, since names may be shared. */
export function addressOf(to: string): string {
  if (to === "codt" || isGroup(to)) return to;
  return names.value.value?.members.find((each) => each.name === to)?.to ?? to;
}
