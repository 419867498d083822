// The map, what may be hidden on it, and the same people as a list.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { ask } from "../api";
import { foreignSpots, spots, spotWords, type Spot } from "../board";
import { openAlarms } from "../bell";
import { around, nearby, part, view, type CoverageCell } from "../coverage";
import { counted, t } from "../i18n";
import { LiveMap, type Track } from "../map/LiveMap";
import { undrawn } from "../map/tiles";
import { Action } from "../parts/Action";
import { CoverageList, PartChoice } from "../parts/Coverage";
import { Icon } from "../parts/Icon";
import { Page } from "../parts/Page";
import { Rest } from "../parts/Rest";
import { SquadFilter } from "../parts/SquadFilter";
import { href, replace, route } from "../router";
import { foreign, isAgent, isOperator, maps } from "../store";
import { titleOf } from "../threads";
import { inOrder, number } from "../time";

const LOW_PCT = 20;
const NO_CELLS: CoverageCell[] = [];
/** Rows of the list at first, and more at each press: two thousand cost more than the whole map. */
const ROWS = 50;

export function MapPage() {
  const [first = "", north = "", east = ""] = route.value.rest;
  const chosen = first === "at" ? "" : first;
  const [latitude, longitude] = [Number(north), Number(east)];
  const isPlace = first === "at" && Number.isFinite(latitude) && Number.isFinite(longitude);
  const at: [number, number] | null = isPlace ? [latitude, longitude] : null;
  const squad = useSignal("");
  const isFreshOnly = useSignal(false);
  const isLowOnly = useSignal(false);
  const isCovered = useSignal(false);
  useEffect(() => {
    if (!isCovered.value) return;
    void nearby.refresh();
    void around.refresh();
  }, [isCovered.value, part.value, view.value]);
  const track = useSignal<{ node: string; found: Track } | null>(null);
  const hasForeign = useSignal(true);
  useEffect(() => {
    if (isAgent.value) void foreign.refresh();
  }, []);
  const everybody = hasForeign.value ? [...spots.value, ...foreignSpots.value] : spots.value;
  const shown = everybody.filter(
    (each) =>
      (!squad.value || each.squad === squad.value) &&
      (!isFreshOnly.value || !each.isStale) &&
      (!isLowOnly.value || (each.batteryPct !== null && each.batteryPct < LOW_PCT)),
  );
  const squads = [...new Set(spots.value.map((each) => each.squad))].sort(inOrder);
  const rows = useSignal(ROWS);
  const listed = shown.filter((each, at) => at < rows.value || each.node === chosen);
  const choose = (node: string) => replace("map", node);
  return (
    <Page kind="map-page" title={t("nav.map")}>
      <div class="map-filters">
        <SquadFilter squads={squads} chosen={squad} />
        <label class="check">
          <input
            type="checkbox"
            checked={isFreshOnly.value}
            onChange={(event) => (isFreshOnly.value = event.currentTarget.checked)}
          />
          {t("map.fresh_only")}
        </label>
        <label class="check">
          <input
            type="checkbox"
            checked={isLowOnly.value}
            onChange={(event) => (isLowOnly.value = event.currentTarget.checked)}
          />
          {t("map.low_only", { level: LOW_PCT })}
        </label>
        {isAgent.value && (
          <label class="check">
            <input
              type="checkbox"
              checked={isCovered.value}
              onChange={(event) => (isCovered.value = event.currentTarget.checked)}
            />
            {t("coverage.title")}
          </label>
        )}
        {isCovered.value && <PartChoice />}
        {foreignSpots.value.length > 0 && (
          <label class="check">
            <input
              type="checkbox"
              checked={hasForeign.value}
              onChange={(event) => (hasForeign.value = event.currentTarget.checked)}
            />
            {t("map.foreign_shown")}
          </label>
        )}
      </div>
      <MapTroubles />
      <div class="map-split">
        <LiveMap
          spots={shown}
          alarms={openAlarms.value}
          chosen={chosen}
          at={at}
          track={track.value?.node === chosen ? track.value.found : null}
          cells={(isCovered.value && around.value.value?.cells) || NO_CELLS}
          onChoose={choose}
          onView={(found) => (view.value = found)}
        />
        <section class="map-list" aria-label={t("map.list")} tabIndex={0}>
          {isCovered.value && <CoverageList />}
          <p class="small pad">{shown.length ? counted("map.people", shown.length) : t("map.nobody")}</p>
          <ul class="rows">
            {listed.map((spot) => (
              <SpotRow
                key={spot.node}
                spot={spot}
                isChosen={spot.node === chosen}
                onTrack={async () => {
                  const found = await ask<Track>(`track?who=${encodeURIComponent(spot.node)}`);
                  track.value = { node: spot.node, found };
                  if (!found.segments.length) throw new Error(t("map.no_track", { name: spot.name }));
                }}
              />
            ))}
          </ul>
          <Rest of={shown.length} shown={rows} step={ROWS} />
        </section>
      </div>
    </Page>
  );
}

interface SpotRowProps {
  spot: Spot;
  isChosen: boolean;
  onTrack: () => Promise<void>;
}

function SpotRow({ spot, isChosen, onTrack }: SpotRowProps) {
  return (
    <li>
      <button
        type="button"
        class={`row ${isChosen ? "current" : ""} ${spot.isStale ? "stale" : ""}`}
        aria-pressed={isChosen}
        onClick={() => replace("map", spot.node)}
      >
        <span class="row-icon">
          <Icon name="pin" />
        </span>
        <span class="row-words">
          <span class="strong">{spot.isSelf ? t("map.self", { name: spot.name }) : spot.name}</span>
          <span class="small">{spotWords(spot)}</span>
        </span>
      </button>
      {isChosen && (
        <div class="row-more">
          <span class="small">
            {number(spot.latitude, 5)}, {number(spot.longitude, 5)} 
            {!spot.isForeign && ` · ${titleOf(spot.squad)}`}
          </span>
          <div class="buttons">
            {isAgent.value && !spot.isSelf && !spot.isForeign && (
              <a class="button quiet" href={href("messages", spot.name)}>
                <Icon name="messages" />
                {t("board.write_to", { name: spot.name })}
              </a>
            )}
            {isOperator.value && !spot.isForeign && (
              <Action kind="quiet" run={onTrack}>
                {t("map.track")}
              </Action>
            )}
          </div>
        </div>
      )}
    </li>
  );
}

/** Own maps that are not shown: who copied one here looks for it on the map. */
function MapTroubles() {
  const broken = maps.value.value?.broken ?? [];
  const lines = [
    ...broken.map((name) => t("map.broken", { name })),
    ...undrawn.value.map((name) => t("map.undrawn", { name })),
  ];
  return (
    <div role="status">
      {lines.map((each) => (
        <p key={each} class="notice warn">
          {each}
        </p>
      ))}
    </div>
  );
}
