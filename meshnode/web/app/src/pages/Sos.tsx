// SOS: raised by holding, also out of a shift; and every alarm of the zone with what was done.
import { useSignal } from "@preact/signals";
import { isLocked } from "../api";
import { isOpen } from "../bell";
import { counted, t, told } from "../i18n";
import { HoldToRaise } from "../parts/HoldToRaise";
import { Icon } from "../parts/Icon";
import { Empty, Page, Waiting } from "../parts/Page";
import { RaiseBySecret } from "../parts/RaiseBySecret";
import { SoundCheck } from "../parts/SoundCheck";
import { isRaising, raise, SOS_DRAFT } from "../raising";
import { href, route } from "../router";
import { alarms, draft, isOperator, shift, sosFault } from "../store";
import { ago } from "../time";
import type { Alarm } from "../types";
import { AlarmPage } from "./AlarmPage";

export function Sos() {
  const open = route.value.rest[0] ?? "";
  return (
    <div class={`split ${open ? "open" : ""}`}>
      <SosHome open={open} />
      {open ? (
        <AlarmPage key={open} alarm={open} />
      ) : (
        <div class="page split-rest">
          <Empty>{t("sos.choose")}</Empty>
        </div>
      )}
    </div>
  );
}

function SosHome({ open }: { open: string }) {
  const found = alarms.value.value ?? [];
  const now = found.filter(isOpen);
  const before = found.filter((each) => !isOpen(each));
  return (
    <Page kind="split-list" title={t("nav.sos")}>
      {isLocked.value ? <RaiseBySecret /> : !isOperator.value && <Raise />}
      <h2 class="section-title">{t("sos.open_ones")}</h2>
      <Waiting of={alarms} />
      {alarms.value.value && now.length === 0 && <Empty>{t("sos.none")}</Empty>}
      <AlarmList found={now} open={open} />
      {before.length > 0 && (
        <>
          <h2 class="section-title">{t("sos.closed_ones")}</h2>
          <AlarmList found={before} open={open} />
        </>
      )}
      {isOperator.value && !isLocked.value && (
        <details class="pad">
          <summary>{t("sos.raise")}</summary>
          <Raise />
        </details>
      )}
      <SoundCheck kind="pad" />
    </Page>
  );
}

function Raise() {
  const { text, write } = draft(SOS_DRAFT);
  const tellsPlace = useSignal(true);
  return (
    <section class="card raise" aria-label={t("sos.raise")}>
      <label class="field">
        {t("sos.what")}
        <textarea rows={2} value={text} onInput={(event) => write(event.currentTarget.value)} />
      </label>
      {sosFault.value && (
        <p class="notice bad strong" role="alert">
          {t("sos.failed", { reason: sosFault.value })}
        </p>
      )}
      <HoldToRaise send={() => void raise(tellsPlace.value)} disabled={isRaising.value} />
      <label class="check">
        <input
          type="checkbox"
          checked={tellsPlace.value}
          onChange={(event) => (tellsPlace.value = event.currentTarget.checked)}
        />
        {shift.value.value?.is_open ? t("sos.tell_place") : t("sos.tell_place_no_shift")}
      </label>
    </section>
  );
}

export function AlarmList({ found, open }: { found: Alarm[]; open: string }) {
  return (
    <ul class="rows">
      {found.map((alarm) => (
        <li key={alarm.alarm}>
          <a
            class={`row alarm-row ${alarm.state} ${alarm.alarm === open ? "current" : ""}`}
            href={href("sos", alarm.alarm)}
            aria-current={alarm.alarm === open ? "page" : undefined}
          >
            <span class="row-icon">
              <Icon name="sos" />
            </span>
            <span class="row-words">
              <span class="row-title">
                <span class="strong">{alarm.is_own ? t("sos.own") : alarm.from}</span>
                <span class="small">{ago(alarm.raised_ms)}</span>
              </span>
              <span class="small ellipsis">{alarm.text || t("sos.no_words")}</span>
              <span class="alarm-state">{stateWords(alarm)}</span>
            </span>
          </a>
        </li>
      ))}
    </ul>
  );
}

/** Where an alarm is, with who did it. */
export function stateWords(alarm: Alarm): string {
  const names = (signed: { name: string }[]) => signed.map((each) => each.name).join(", ");
  switch (alarm.state) {
    case "raised":
      return t("alarm.raised");
    case "seen":
      return counted("alarm.seen", alarm.seen.length);
    case "taken":
      return t("alarm.taken", { names: names(alarm.taken) });
    case "on_scene":
      return t("alarm.on_scene", { names: names(alarm.on_scene) });
    case "closed":
      return told("alarm.outcome", alarm.outcome || "over");
  }
}
