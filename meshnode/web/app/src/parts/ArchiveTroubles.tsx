// What of the archive's work does not get done, why, and how that is mended: in the reader's own
// language, with the words of the program beside it for whoever mends it.
import { t, told } from "../i18n";
import { status } from "../store";
import { ago } from "../time";
import type { ArchiveStanding, Trouble } from "../types";

/** A queue is emptied in seconds where the database answers. */
const LATE_MS = 300_000;
const SHUT: Trouble = { part: "lock", reason: "locked", words: "" };

/** What of the disk stands over every page already is not told once more. */
function notToldAbove(found: ArchiveStanding): Trouble[] {
  const isAbove = Boolean(status.value.value?.disk_fault);
  return found.troubles.filter((each) => !(isAbove && each.part === "store"));
}

/** Each reason once, with all that fails for it. */
function byReason(found: ArchiveStanding): Trouble[][] {
  const troubles = notToldAbove(found);
  const isTold = troubles.some((each) => each.part === SHUT.part);
  const reasons = new Map<string, Trouble[]>();
  for (const each of found.is_shut && !isTold ? [SHUT, ...troubles] : troubles) {
    const key = `${each.reason} ${each.words}`;
    reasons.set(key, [...(reasons.get(key) ?? []), each]);
  }
  return [...reasons.values()];
}

const isLate = (found: ArchiveStanding, nowMs: number): boolean =>
  found.waiting_since_ms > 0 && nowMs - found.waiting_since_ms > LATE_MS;

/** Whether anything is to be told. */
export const hasTrouble = (found: ArchiveStanding, nowMs: number): boolean =>
  found.is_shut || notToldAbove(found).length > 0 || isLate(found, nowMs);

export function ArchiveTroubles({ found, nowMs }: { found: ArchiveStanding; nowMs: number }) {
  return (
    <>
      {byReason(found).map((troubles) => (
        <Reason key={troubles[0]!.part} troubles={troubles} />
      ))}
      {isLate(found, nowMs) && (
        <p class="notice warn">{t("archive.late", { ago: ago(found.waiting_since_ms, nowMs) })}</p>
      )}
    </>
  );
}

function Reason({ troubles }: { troubles: Trouble[] }) {
  const { reason, words } = troubles[0]!;
  const isKnown = reason === "locked" || reason === "clock";
  return (
    <div class="notice bad">
      {troubles.map((each) => (
        <p key={each.part} class="strong">
          {told("fault", each.part)}
        </p>
      ))}
      <p>{told("archive.reason", reason)}</p>
      {words && !isKnown && (
        <p class="small">
          {t("archive.said")} <q lang="en">{words}</q>
        </p>
      )}
    </div>
  );
}
