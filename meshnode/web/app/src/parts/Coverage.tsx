// The coverage map in words: the next network, what the colours mean, and the nearest cells.
import { useEffect } from "preact/hooks";
import {
  around,
  cellWords,
  forecastWords,
  levelOf,
  nearby,
  part,
  wayWords,
  type CoverageCell,
  type Level,
} from "../coverage";
import { t, type Key } from "../i18n";
import { number } from "../time";
import { Icon } from "./Icon";
import { Waiting } from "./Page";

const LEVELS: [Level, Key][] = [
  ["high", "coverage.high"],
  ["good", "coverage.good"],
  ["low", "coverage.low"],
  ["bad", "coverage.bad"],
  ["unsure", "coverage.unsure"],
];
const PARTS: [string, Key][] = [
  ["", "coverage.now"],
  ["night", "coverage.night"],
  ["morning", "coverage.morning"],
  ["afternoon", "coverage.afternoon"],
  ["evening", "coverage.evening"],
  ["all", "coverage.all"],
];
const LISTED = 12;

export function PartChoice() {
  return (
    <label class="field inline">
      {t("coverage.when")}
      <select value={part.value} onChange={(event) => (part.value = event.currentTarget.value)}>
        {PARTS.map(([value, key]) => (
          <option key={value} value={value}>
            {t(key)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** For whoever does not see the colours, and for all who ask how far. */
export function CoverageList() {
  const own = nearby.value.value;
  const found = own?.place ? own : around.value.value;
  return (
    <section class="coverage-list" aria-label={t("coverage.list")}>
      <h2 class="section-title">{t("coverage.title")}</h2>
      <Waiting of={nearby} />
      {own && !own.place && <p class="small pad">{t("coverage.no_place")}</p>}
      {found && (
        <p class="forecast pad" role="status">
          {forecastWords(found)}
        </p>
      )}
      <ul class="legend pad" aria-label={t("coverage.legend")}>
        {LEVELS.map(([level, key]) => (
          <li key={level}>
            <span class={`swatch ${level}`} aria-hidden="true" />
            {t(key)}
          </li>
        ))}
      </ul>
      {found && found.cells.length > 0 && (
        <ol class="cells">
          {found.cells.slice(0, LISTED).map((cell) => (
            <CellRow key={`${cell.south} ${cell.west}`} cell={cell} />
          ))}
        </ol>
      )}
      {found && <p class="small pad">{t("coverage.learned", { days: found.window_days })}</p>}
    </section>
  );
}

function CellRow({ cell }: { cell: CoverageCell }) {
  const notes = [
    t("coverage.chance", { chance: number(100 * cell.chance) }),
    cell.is_sure ? "" : t("coverage.unsure"),
    cell.is_other_part ? t("coverage.other_part") : "",
  ];
  return (
    <li>
      <span class={`swatch ${levelOf(cell)}`} aria-hidden="true" />
      <span class="strong">{wayWords(cell)}</span> {cellWords(cell)}
      <span class="small"> {notes.filter(Boolean).join(" · ")}</span>
    </li>
  );
}

/** One line for the page of the squad; nothing where nobody learned anything yet. */
export function NextNetwork() {
  useEffect(() => void nearby.refresh(), []);
  const found = nearby.value.value;
  if (!found?.place || found.verdict === "unknown") return null;
  return (
    <p class="next-network pad">
      <Icon name="signal" /> {forecastWords(found)}
    </p>
  );
}
