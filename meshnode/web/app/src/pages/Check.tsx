// Before leaving the network: what this device lacks, each fault with its cure.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { counted, t } from "../i18n";
import { Action } from "../parts/Action";
import { Icon } from "../parts/Icon";
import { Page, Waiting } from "../parts/Page";
import { href } from "../router";
import { readiness, sensors, sheets, shift, status } from "../store";
import { clock, nowMs, number } from "../time";
import type { Readiness, Sensor } from "../types";

type Level = "ok" | "warn" | "fail";

interface Finding {
  level: Level;
  sentence: string;
  fix: string;
}

const HOUR_MS = 3_600_000;
const HOURS = [6, 12, 24, 48, 168];
const LOW_PCT = 50;

export function Check() {
  const hours = useSignal(12);
  const refresh = () =>
    Promise.all([readiness.refresh(), sensors.refresh(), status.refresh(), sheets.refresh()]);
  useEffect(() => void refresh(), []);
  const found = readiness.value.value;
  const findings = found ? judged(found, nowMs.value + hours.value * HOUR_MS) : [];
  const worst = findings.some((each) => each.level === "fail")
    ? "fail"
    : findings.some((each) => each.level === "warn")
      ? "warn"
      : "ok";
  return (
    <Page title={t("nav.check")} back={href("more")}>
      <div class="column">
        <div class="buttons pad">
          <label class="field inline">
            {t("check.away")}
            <select value={hours.value} onChange={(event) => (hours.value = Number(event.currentTarget.value))}>
              {HOURS.map((each) => (
                <option key={each} value={each}>
                  {each < 72 ? t("composer.hours", { count: each }) : t("composer.days", { count: each / 24 })}
                </option>
              ))}
            </select>
          </label>
          <Action run={refresh}>{t("check.again")}</Action>
        </div>
        <Waiting of={readiness} />
        {found && (
          <>
            <p class={`verdict ${worst}`} role="status">
              <Icon name={worst === "ok" ? "check" : "alert"} />
              {t(`check.${worst}`)}
            </p>
            <ul class="findings">
              {findings.map((each) => (
                <li key={each.sentence} class={`finding ${each.level}`}>
                  <Icon name={each.level === "ok" ? "check" : "alert"} />
                  <div>
                    <p>
                      <span class="hidden">{t(`check.level_${each.level}`)} : </span>
                      {each.sentence}
                    </p>
                    {each.fix && <p class="small">{each.fix}</p>}
                  </div>
                </li>
              ))}
            </ul>
          </>
        )}
      </div>
    </Page>
  );
}

/** Everything that must hold until `backMs`, worst first. */
function judged(found: Readiness, backMs: number): Finding[] {
  const all = [
    roster(found),
    mates(found),
    keys(found),
    sosKey(found, backMs),
    trustedClock(),
    onShift(),
    ...sources(),
    sheetsHere(),
  ].filter((each): each is Finding => each !== null);
  const order: Level[] = ["fail", "warn", "ok"];
  return all.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
}

const good = (sentence: string): Finding => ({ level: "ok", sentence, fix: "" });

function roster(found: Readiness): Finding {
  if (found.is_revoked) return { level: "fail", sentence: t("check.revoked"), fix: t("check.revoked_fix") };
  if (!found.is_member) return { level: "fail", sentence: t("check.stranger"), fix: t("check.stranger_fix") };
  return good(t("check.member"));
}

function mates(found: Readiness): Finding | null {
  if (!found.squads.length) return null;
  const count = found.squads.reduce((sum, each) => sum + each.mates, 0);
  return count
    ? good(counted("check.mates", count))
    : { level: "warn", sentence: t("check.alone"), fix: t("check.alone_fix") };
}

function keys(found: Readiness): Finding {
  if (!found.without_key.length) return good(t("check.keys"));
  const names = found.without_key.map((each) => each.name).join(", ");
  return { level: "warn", sentence: t("check.no_key", { names }), fix: t("check.no_key_fix") };
}

function sosKey(found: Readiness, backMs: number): Finding {
  if (!found.has_sos_key) return { level: "fail", sentence: t("check.no_sos"), fix: t("check.no_sos_fix") };
  if (found.sos_until_ms < backMs) {
    const when = clock(found.sos_until_ms);
    return { level: "warn", sentence: t("check.sos_ends", { when }), fix: t("check.no_sos_fix") };
  }
  return good(t("check.sos", { when: clock(found.sos_until_ms) }));
}

function trustedClock(): Finding | null {
  const known = status.value.value;
  if (!known) return null;
  if (known.is_clock_doubted) {
    return { level: "fail", sentence: t("check.clock"), fix: t("check.clock_fix") };
  }
  return known.is_clock_late
    ? { level: "warn", sentence: t("check.clock_late"), fix: t("check.clock_late_fix") }
    : good(t("check.clock_good"));
}

function onShift(): Finding | null {
  const known = shift.value.value;
  if (!known) return null;
  return known.is_open
    ? good(t("check.shift"))
    : { level: "warn", sentence: t("check.no_shift"), fix: t("check.no_shift_fix") };
}

function sources(): Finding[] {
  const known = sensors.value.value;
  if (!known) return [];
  const chosen = (kind: Sensor["kind"]) => known.find((each) => each.kind === kind && each.reading);
  const place = chosen("position");
  const battery = chosen("battery");
  const found: Finding[] = [
    place
      ? good(t("check.place", { source: place.source }))
      : { level: "warn", sentence: t("check.no_place"), fix: t("check.no_place_fix") },
  ];
  const level = battery?.reading?.level_pct;
  if (level !== undefined) {
    const words = t("board.battery", { level: number(level) });
    const isLow = level < LOW_PCT && !battery?.reading?.is_charging;
    found.push(isLow ? { level: "warn", sentence: words, fix: t("check.charge") } : good(words));
  }
  return found;
}

function sheetsHere(): Finding | null {
  const known = sheets.value.value?.sheets;
  if (!known?.length) return null;
  const lacking = known.filter((each) => !each.is_whole).length;
  return lacking
    ? { level: "warn", sentence: counted("check.sheets_lack", lacking), fix: t("check.sheets_fix") }
    : good(counted("check.sheets", known.length));
}
