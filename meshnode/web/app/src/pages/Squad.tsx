// The squad: one's own shift, and each mate with what it last told and how old that is.
import { useSignal } from "@preact/signals";
import { batteryWords, contactWords, coverageWords, isSilent, isStale, mates } from "../board";
import { t, told } from "../i18n";
import { NextNetwork } from "../parts/Coverage";
import { Icon } from "../parts/Icon";
import { Empty, Page, Waiting } from "../parts/Page";
import { Rest } from "../parts/Rest";
import { ShiftCard } from "../parts/ShiftCard";
import { Value } from "../parts/Value";
import { href } from "../router";
import { board } from "../store";
import { titleOf } from "../threads";
import { clock, number } from "../time";
import type { Mate } from "../types";

/** More than any squad has; the centre sees them all. */
const CARDS = 40;

export function Squad() {
  const rows = useSignal(CARDS);
  const bySquad = new Map<string, Mate[]>();
  for (const mate of mates.value.slice(0, rows.value)) {
    bySquad.set(mate.squad, [...(bySquad.get(mate.squad) ?? []), mate]);
  }
  return (
    <Page title={t("nav.squad")}>
      <ShiftCard />
      <NextNetwork />
      <Waiting of={board} />
      {board.value.value?.is_relay && <p class="notice">{t("board.relay")}</p>}
      {board.value.value && mates.value.length === 0 && <Empty>{t("board.nobody")}</Empty>}
      {[...bySquad].map(([squad, members]) => (
        <section key={squad}>
          <h2 class="section-title">{titleOf(squad)}</h2>
          <ul class="cards">
            {members.map((mate) => (
              <MateCard key={`${mate.node}${mate.squad}`} mate={mate} />
            ))}
          </ul>
        </section>
      ))}
      <Rest of={mates.value.length} shown={rows} step={CARDS} />
    </Page>
  );
}

export function MateCard({ mate }: { mate: Mate }) {
  const battery = mate.battery;
  const isLow = battery !== null && !battery.is_charging && battery.level_pct < 20 && !isStale("battery", battery);
  return (
    <li class={`card mate ${isSilent(mate) ? "silent" : ""}`}>
      <header class="mate-head">
        <h3>{mate.name}</h3>
        <span class={`tag ${mate.is_on_shift ? "on" : ""}`}>
          {mate.is_on_shift ? t("board.shift_until", { time: clock(mate.shift_over_ms) }) : t("board.off_shift")}
        </span>
      </header>
      {(mate.is_revoked || mate.is_author_revoked) && <p class="notice bad">{t("board.revoked")}</p>}
      <p class="small">
        {[told("role", mate.role), told("device", mate.device), contactWords(mate)].filter(Boolean).join(" · ")}
      </p>
      <ul class="values">
        <Value icon="pin" name={t("board.position")} kind="position" value={mate.position}>
          {mate.position && (
            <a href={href("map", mate.node)}>
              {number(mate.position.latitude, 4)}, {number(mate.position.longitude, 4)}
            </a>
          )}
        </Value>
        <Value icon="battery" name={t("board.battery_name")} kind="battery" value={battery}>
          {battery && (
            <>
              <span class={isLow ? "low" : ""}>{batteryWords(battery)}</span>
              <meter min={0} max={100} low={20} optimum={100} value={battery.level_pct} aria-label={t("board.battery_name")} />
            </>
          )}
        </Value>
        <Value icon="signal" name={t("board.coverage")} kind="coverage" value={mate.coverage}>
          {mate.coverage && coverageWords(mate.coverage)}
        </Value>
      </ul>
      {!mate.is_self && (
        <a class="button quiet" href={href("messages", mate.name)}>
          <Icon name="messages" />
          {t("board.write_to", { name: mate.name })}
        </a>
      )}
    </li>
  );
}
