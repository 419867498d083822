// How the archive of this gateway stands: whether it answers, what waits for it, what was given up.
import { counted, t } from "../i18n";
import { archive } from "../store";
import { bytes, moment, number } from "../time";
import { ArchiveTroubles } from "./ArchiveTroubles";
import { Fact } from "./Fact";
import { Waiting } from "./Page";

export function ArchiveHealth({ nowMs }: { nowMs: number }) {
  const found = archive.value.value;
  if (!found) return <Waiting of={archive} />;
  return (
    <>
      {!found.is_archiving && <p class="notice warn">{t("archive.none")}</p>}
      <ArchiveTroubles found={found} nowMs={nowMs} />
      {found.shed > 0 && <p class="notice bad">{counted("archive.shed", found.shed)}</p>}
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
