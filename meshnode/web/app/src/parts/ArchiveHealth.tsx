// How the archive of this gateway stands: whether it answers, what waits for it, what was given up.
import { counted, t, told } from "../i18n";
import { archive } from "../store";
import { ago, bytes, moment, number } from "../time";
import { Fact } from "./Fact";
import { Waiting } from "./Page";

/** A queue is emptied in seconds where the database answers. */
const LATE_MS = 300_000;

export function ArchiveHealth({ nowMs }: { nowMs: number }) {
  const found = archive.value.value;
  if (!found) return <Waiting of={archive} />;
  const sinceMs = found.waiting_since_ms;
  const isLate = sinceMs !== null && nowMs - sinceMs > LATE_MS;
  return (
    <>
      {!found.is_archiving && <p class="notice warn">{t("archive.none")}</p>}
      {found.failing.map((each) => (
        <p class="notice bad" key={each}>
          {told("fault", each)}
        </p>
      ))}
      {found.error && <p class="notice bad">{found.error}</p>}
      {found.shed > 0 && <p class="notice bad">{counted("archive.shed", found.shed)}</p>}
      {isLate && <p class="notice warn">{t("archive.late", { ago: ago(sinceMs) })}</p>}
      <dl class="facts">
        <Fact name={t("archive.database")}>{found.database === "sqlite" ? "SQLite" : "PostgreSQL"}</Fact>
        <Fact name={t("archive.waiting")}>
          {number(found.waiting)} ({bytes(found.waiting_bytes)})
        </Fact>
        {found.purged_ms > 0 && <Fact name={t("archive.purged")}>{moment(found.purged_ms)}</Fact>}
      </dl>
    </>
  );
}
