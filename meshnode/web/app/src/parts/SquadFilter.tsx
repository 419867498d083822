// Which squad a list or a map shows; nothing to choose where there is one.
import type { Signal } from "@preact/signals";
import { t } from "../i18n";
import { titleOf } from "../threads";

export function SquadFilter({ squads, chosen }: { squads: string[]; chosen: Signal<string> }) {
  if (squads.length < 2) return null;
  return (
    <label class="field inline">
      {t("map.squad")}
      <select value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>
        <option value="">{t("map.everybody")}</option>
        {squads.map((each) => (
          <option key={each} value={each}>
            {titleOf(each)}
          </option>
        ))}
      </select>
    </label>
  );
}
