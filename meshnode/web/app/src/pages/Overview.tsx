// For the operations centre: every squad at a glance, who is on duty, and what runs low.
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { batteryWords, contactWords, coverageWords, isSilent, isStale, mates, type Kind } from "../board";
import { openAlarms } from "../bell";
import { t, told } from "../i18n";
import { ArchiveTroubles, hasTrouble } from "../parts/ArchiveTroubles";
import { Empty, Page, Waiting } from "../parts/Page";
import { Rest } from "../parts/Rest";
import { SquadFilter } from "../parts/SquadFilter";
import { href } from "../router";
import { board, names, status } from "../store";
import { titleOf } from "../threads";
import { ago, clock, inOrder, moment, nowMs } from "../time";
import type { Aged, Mate } from "../types";

const LOW_PCT = 20;
/** Rows at first, and more at each press: ages on two thousand would take all the time there is. */
const ROWS = 100;
const NAMES = 60;
type Only = "all" | "duty" | "old" | "low" | "silent";
const ONLY: Only[] = ["all", "duty", "old", "low", "silent"];

const hasOldPlace = (mate: Mate): boolean =>
  mate.is_on_shift && (!mate.position || isStale("position", mate.position));
const isLow = (mate: Mate): boolean =>
  mate.battery !== null &&
  !mate.battery.is_charging &&
  mate.battery.level_pct < LOW_PCT &&
  !isStale("battery", mate.battery);

const TESTS: Record<Only, (mate: Mate) => boolean> = {
  all: () => true,
  duty: (mate) => mate.is_on_shift,
  old: hasOldPlace,
  low: isLow,
  silent: isSilent,
};

export function Overview() {
  const only = useSignal<Only>("all");
  const squad = useSignal("");
  const all = mates.value;
  const shown = all.filter((each) => TESTS[only.value](each) && (!squad.value || each.squad === squad.value));
  const rows = useSignal(ROWS);
  const squads = useMemo(() => [...new Set(all.map((each) => each.squad))].sort(inOrder), [all]);
  const known = names.value.value?.members;
  const silentNames = useMemo(() => {
    const heard = new Set(all.map((each) => each.node));
    return (known ?? []).filter((each) => ["agent", "leader"].includes(each.role) && !heard.has(each.node));
  }, [all, known]);
  return (
    <Page title={t("nav.overview")}>
      <Gateway />
      <ul class="figures">
        <Figure count={openAlarms.value.length} words={t("overview.alarms")} isBad link={href("sos")} />
        <Figure count={all.filter(TESTS.duty).length} words={t("overview.duty")} />
        <Figure count={all.filter(TESTS.old).length} words={t("overview.old")} isWarn />
        <Figure count={all.filter(TESTS.low).length} words={t("overview.low")} isWarn />
        <Figure count={all.filter(TESTS.silent).length} words={t("overview.silent")} isWarn />
      </ul>
      <div class="map-filters">
        <label class="field inline">
          {t("overview.show")}
          <select value={only.value} onChange={(event) => (only.value = event.currentTarget.value as Only)}>
            {ONLY.map((each) => (
              <option key={each} value={each}>
                {t(`overview.only_${each}`)}
              </option>
            ))}
          </select>
        </label>
        <SquadFilter squads={squads} chosen={squad} />
      </div>
      <Waiting of={board} />
      {board.value.value && shown.length === 0 && <Empty>{t("overview.none")}</Empty>}
      {bySquad(shown, rows.value).map(([each, members]) => (
        <SquadTable key={each} squad={each} members={members} />
      ))}
      <Rest of={shown.length} shown={rows} step={ROWS} />
      {only.value === "all" && silentNames.length > 0 && (
        <section class="card">
          <h2>
            {t("overview.nothing_told")} ({silentNames.length})
          </h2>
          <p>
            {silentNames
              .slice(0, NAMES)
              .map((each) => each.name)
              .join(", ")}
            {silentNames.length > NAMES && "…"}
          </p>
          {silentNames.length > NAMES && <a href={href("rosters")}>{t("nav.rosters")}</a>}
        </section>
      )}
    </Page>
  );
}

/** What of this gateway does not work stands before everything else, and is heard. */
function Gateway() {
  const found = status.value.value?.archive;
  const isTold = found && hasTrouble(found, nowMs.value);
  return (
    <div role="status">
      {isTold && (
        <section class="card gateway-trouble">
          <header class="card-head">
            <h2>{t("nav.archive")}</h2>
            <a class="button quiet" href={href("node")}>
              {t("nav.node")}
            </a>
          </header>
          <ArchiveTroubles found={found} nowMs={nowMs.value} />
        </section>
      )}
    </div>
  );
}

/** The first `most` of them, by squad. */
function bySquad(shown: Mate[], most: number): [string, Mate[]][] {
  const found = new Map<string, Mate[]>();
  for (const mate of shown) {
    const known = found.get(mate.squad);
    if (known) known.push(mate);
    else found.set(mate.squad, [mate]);
  }
  const drawn: [string, Mate[]][] = [];
  let left = most;
  for (const [squad, members] of [...found].sort(([one], [other]) => inOrder(one, other))) {
    if (left <= 0) break;
    drawn.push([squad, members.slice(0, left)]);
    left -= members.length;
  }
  return drawn;
}

interface FigureProps {
  count: number;
  words: string;
  isBad?: boolean;
  isWarn?: boolean;
  link?: string;
}

function Figure({ count, words, isBad = false, isWarn = false, link }: FigureProps) {
  const kind = count === 0 ? "" : isBad ? "bad" : isWarn ? "warn" : "";
  const content = (
    <>
      <span class="figure-count">{count}</span>
      <span class="small">{words}</span>
    </>
  );
  return (
    <li class={`figure ${kind}`}>{link ? <a href={link}>{content}</a> : <div>{content}</div>}</li>
  );
}

function SquadTable({ squad, members }: { squad: string; members: Mate[] }) {
  const title = titleOf(squad);
  return (
    <section class="card">
      <header class="card-head">
        <h2>{title}</h2>
        <a class="button quiet" href={href("messages", squad)}>
          {t("overview.write")}
          <span class="hidden"> {title}</span>
        </a>
      </header>
      <div class="table" role="region" tabIndex={0} aria-label={title}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t("story.who")}</th>
              <th scope="col">{t("overview.shift")}</th>
              <th scope="col">{t("board.position")}</th>
              <th scope="col">{t("board.battery_name")}</th>
              <th scope="col">{t("board.coverage")}</th>
              <th scope="col">{t("overview.contact")}</th>
            </tr>
          </thead>
          <tbody>
            {members.map((mate) => (
              <Row key={mate.node} mate={mate} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Row({ mate }: { mate: Mate }) {
  return (
    <tr>
      <th scope="row">
        <a href={href("messages", mate.name)}>{mate.name}</a>
        <span class="small"> {told("role", mate.role)}</span>
        {mate.is_revoked && <span class="tag bad">{t("board.revoked_tag")}</span>}
      </th>
      <td>{mate.is_on_shift ? t("overview.until", { time: clock(mate.shift_over_ms) }) : t("board.off_shift")}</td>
      <Cell kind="position" value={mate.position}>
        <a href={href("map", mate.node)}>{t("overview.on_map")}</a>
      </Cell>
      <Cell kind="battery" value={mate.battery}>
        {mate.battery && <span class={isLow(mate) ? "low" : ""}>{batteryWords(mate.battery)}</span>}
      </Cell>
      <Cell kind="coverage" value={mate.coverage}>
        {mate.coverage && coverageWords(mate.coverage)}
      </Cell>
      <td class={isSilent(mate) ? "stale" : ""}>{contactWords(mate)}</td>
    </tr>
  );
}

interface CellProps {
  kind: Kind;
  value: Aged | null;
  children: ComponentChildren;
}

function Cell({ kind, value, children }: CellProps) {
  if (!value) {
    return (
      <td>
        <span class="small">{t("overview.not_told")}</span>
      </td>
    );
  }
  const isOld = isStale(kind, value);
  return (
    <td class={isOld ? "stale" : ""}>
      {children}{" "}
      <span class="small" title={moment(value.at_ms)}>
        {isOld ? t("board.old", { ago: ago(value.at_ms) }) : ago(value.at_ms)}
      </span>
    </td>
  );
}
