// What became of a message, in one line: no more than the node knows. Source: delivery-states.
import type { IconName } from "./parts/Icon";
import { counted, t, told } from "./i18n";
import type { MatrixRow, MessageStory, Outgoing } from "./types";

export interface Mark {
  icon: IconName;
  words: string;
  kind: "waiting" | "moving" | "good" | "bad";
}

const ENDED_BADLY = new Set(["expired", "refused"]);

export function markOf(message: Outgoing, story: MessageStory | null): Mark {
  if (!story) return plain(message);
  switch (story.outcome) {
    case "read":
      return { icon: "eye", words: many(story) ? t("mark.read_all") : t("mark.read"), kind: "good" };
    case "cancelled":
    case "cancelling":
    case "too late":
      return { icon: "refused", words: told("outcome", story.outcome), kind: "bad" };
    case "expired":
      return { icon: "refused", words: expired(story), kind: "bad" };
    case "held back":
    case "turned down":
    case "waiting":
      return { icon: "clock", words: told("outcome", story.outcome), kind: "waiting" };
  }
  if (message.state === "refused") return plain(message);
  const reached = byState(story.matrix);
  if (reached) return reached;
  if (story.carriers.length) {
    return { icon: "carried", words: counted("mark.carried", story.carriers.length), kind: "moving" };
  }
  return plain(message);
}

function plain(message: Outgoing): Mark {
  const isBad = ENDED_BADLY.has(message.state);
  const words = told("state", message.state);
  const reason = message.reason ? t("mark.reason", { words, reason: told("reason", message.reason) }) : words;
  if (isBad) return { icon: "refused", words: reason, kind: "bad" };
  if (message.state === "delivered") return { icon: "checks", words, kind: "good" };
  if (message.state === "carried") return { icon: "carried", words, kind: "moving" };
  return { icon: "clock", words: reason, kind: "waiting" };
}

/** The furthest that anybody is, with how many; null where nobody said anything. */
function byState(rows: MatrixRow[]): Mark | null {
  const count = (...states: string[]) => rows.filter((row) => states.includes(row.state)).length;
  const read = count("read");
  const here = count("read", "on device");
  const gateway = count("at gateway");
  const of = rows.length;
  if (!here) {
    return gateway ? { icon: "gateway", words: t("mark.at_gateway"), kind: "moving" } : null;
  }
  if (of === 1) {
    return { icon: "device", words: t("mark.on_device"), kind: "good" };
  }
  const words = t("mark.counts", { here, read, of });
  return { icon: read ? "eye" : "device", words, kind: here === of ? "good" : "moving" };
}

function expired(story: MessageStory): string {
  const had = story.outcome_names;
  return had.length ? t("mark.expired_but", { names: had.join(", ") }) : t("mark.expired");
}

const many = (story: MessageStory): boolean => story.matrix.length > 1;

/** What the ledger adds to a step, in words; `{0}` of the node's sentences is a name or a number. */
export function detailWords(detail: string): string {
  const [, count, , of] = /^(\d+)( of (\d+))? recipients$/.exec(detail) ?? [];
  if (count) return of ? t("detail.some", { count, of }) : counted("detail.recipients", Number(count));
  const unknown = /^no key of (.+) is known here yet$/.exec(detail);
  if (unknown) return t("detail.no_key", { name: unknown[1]! });
  const later = /^(.+) gets its key when it is met$/.exec(detail);
  if (later) return t("detail.key_later", { name: later[1]! });
  const revoked = /^(.+) was revoked$/.exec(detail);
  return revoked ? t("detail.was_revoked", { name: revoked[1]! }) : told("detail", detail);
}
